"""The JSON schema for editors: up to date, and of one mind with the loader."""

import json

import jsonschema
import pytest

from synthood.config.load import load
from synthood.config.schema import json_schema

REGENERATE = "regenerate it: python -m synthood.cli schema > schemas/config.schema.json"


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_file_is_up_to_date(config_file):
    file = config_file.parent / "schemas" / "config.schema.json"
    assert file.is_file(), f"{file} is missing; {REGENERATE}"
    assert file.read_text() == json_schema(), f"{file} is out of date; {REGENERATE}"


def test_the_configuration_names_its_schema(config_file):
    first = config_file.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=schemas/config.schema.json"


def test_it_is_a_draft_2020_12_schema_with_sorted_keys():
    schema = json.loads(json_schema())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json_schema() == json.dumps(schema, indent=1, sort_keys=True) + "\n"
    assert "from" in schema["$defs"]["Synthetic"]["properties"]


def test_it_accepts_the_shipped_configuration(validator, demo):
    validator.validate(demo)


@pytest.mark.parametrize(
    "edits",
    [
        {"detektors": {}},
        {"datasets/digits/fra": {}},
        {"generators/biggan/fit/stpes": 1},
        {"recipes/ce/epoch": 1},
        {"recipes/ce/augmentation/shfit": 1},
        {"detectors/knn/kk": 1},
        {"tables/demo-sio/recipe": ["ce"]},
        {"recipes/ce/epochs": 1.5},
        {"recipes/ce/learning_rate": "0.1"},
        {"generators/biggan/kind": "bigan"},
        {"detectors": {}},
        {"recipes/sio-sd/synthetic/alpha": 0},
        {"recipes/ce/like": 3},
        {"version": None},
        {"tables/demo-oal/base": "kd"},
        {"tables/demo-oal/baselines": []},
        {"tables/demo-oal/baselines": "kd"},
        {"recipes/kd/teacher/weight": 1},
        {"recipes/oal/outliers/estimator": "clup"},
        {"recipes/oal/outliers/boundary_weight": -1},
        {"outliers": {}},
        {"outliers/oal/latents/scale": 0},
        {"outliers/oal/latents/scale": "relased"},
        {"outliers/oal/gate/percentle": 3},
        {"outliers/oal/curve/scales": []},
    ],
    ids=lambda edits: next(iter(edits)),
)
def test_it_rejects_what_the_loader_rejects(validator, edited, edits):
    assert not validator.is_valid(edited(edits))


@pytest.mark.parametrize(
    "recipe",
    [
        {"like": "ce"},
        {"like": "ce", "epochs": 3},
        {"like": "ce", "augmentation": {"cutout": 3}},
        {"like": "sio-sd", "synthetic": None},
        {"like": "ce", "network": {"width": 8}},
        {"like": "sio-sd", "synthetic": {"alpha": 0.5}},
        {"like": "ce", "augmentation": None},
        {"like": "ce", "augmentation": {"shift": None}},
        {"like": "ce", "warmup": None},
        {"like": "oal", "outliers": {"negatives": "other-classes"}},
        {"like": "oal", "outliers": {"temperature": None, "boundary_weight": 0}},
        {"like": "oal", "outliers": None},
        {"like": "kd", "teacher": {"feature_form": "released"}},
    ],
    ids=str,
)
def test_it_accepts_recipes_that_the_loader_accepts(validator, demo, recipe):
    demo["recipes"]["more"] = recipe
    load(demo)
    assert [error.message for error in validator.iter_errors(demo)] == []


@pytest.mark.parametrize(
    ("section", "entry"),
    [
        ("datasets", {"like": "digits", "id": {"train_per_class": 70}}),
        ("datasets", {"like": "digits", "far": {"more": {"like": "noise", "seed": 4}}, "extra": None}),
        ("generators", {"like": "sd", "sample": {"steps": None}}),
        ("outliers", {"like": "oal", "gate": {"percentile": 60}, "curve": None}),
        ("recipes", {"like": ["sio-sd", "cutout"]}),
        ("detectors", {"like": "knn", "k": 50}),
        ("tables", {"like": "demo-sio", "seeds": [3]}),
    ],
)
def test_it_accepts_like_in_every_section(validator, demo, section, entry):
    demo[section]["more"] = entry
    load(demo)
    assert [error.message for error in validator.iter_errors(demo)] == []
    del entry["like"]
    assert not validator.is_valid(demo)


@pytest.mark.parametrize("scale", ["released", 2, 0.5])
def test_it_accepts_the_scales_that_the_loader_accepts(validator, edited, scale):
    raw = edited({"outliers/oal/latents/scale": scale})
    load(raw)
    validator.validate(raw)


@pytest.mark.parametrize("name", ["curve", "gate"])
def test_only_the_curve_may_be_left_out(validator, edited, name):
    assert validator.is_valid(edited({f"outliers/oal/{name}": None})) == (name == "curve")


def test_the_loader_rejects_what_it_rejects(validator, edited):
    raw = edited({"recipes/sio-sd/synthetic": {"from_": "sd", "alpha": 0.5}})
    assert not validator.is_valid(raw)
    with pytest.raises(Exception, match="from_"):
        load(raw)

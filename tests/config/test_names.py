"""Names that other artefacts or columns bear are refused before any job."""

import pytest
from snakemake.utils import update_config

from odd_names import ODD, REVERSED
from synthood.config.load import load
from synthood.errors import UNSAFE, SynthoodError

NOISE = {"kind": "noise", "images": 3, "seed": 1}


def told(raw):
    with pytest.raises(SynthoodError) as caught:
        load(raw)
    return [line.removeprefix("config: ") for line in str(caught.value).split("\n")]


def renamed(demo, name):
    """The demo with its dataset under another name."""
    demo["datasets"] = dict(zip([name], demo["datasets"].values(), strict=True))
    for table in demo["tables"].values():
        table["datasets"] = [name]
    return demo


@pytest.mark.parametrize("name", ["logs", "tables", "figures", "benchmarks", "README.md", "Logs", "report"])
def test_a_dataset_has_a_folder_of_its_own(demo, name):
    assert told(renamed(demo, name)) == [
        f"datasets.{name}: results/{name} is not a dataset's folder; take another name"
    ]


@pytest.mark.parametrize("role", ["extra", "near", "far"])
@pytest.mark.parametrize("name", ["head", "near", "far", "synthetic-sd", "Head"])
def test_a_set_bears_no_other_artefact_s_name(edited, role, name):
    lines = told(edited({f"datasets/digits/{role}/{name}": NOISE}))
    assert len(lines) == 1
    assert lines[0].startswith(f"datasets.digits.{role}.{name}: '{name}' is ")


@pytest.mark.parametrize("name", ["part", "index", "label", "prediction", "probability"])
def test_a_detector_is_no_column_of_facts(edited, name):
    assert told(edited({f"detectors/{name}": {"kind": "msp"}})) == [
        f"detectors.{name}: a column of the scores has this name; take another"
    ]


@pytest.mark.parametrize(
    ("path", "like", "other"),
    [
        ("recipes/CE", "recipes/ce", "ce"),
        ("generators/SD", "generators/sd", "sd"),
        ("outliers/Oal", "outliers/oal", "oal"),
        ("tables/DEMO-oal", "tables/demo-oal", "demo-oal"),
        ("datasets/Digits", "datasets/digits", "digits"),
        ("datasets/digits/far/Photos", "datasets/digits/far/photos", "photos"),
        ("datasets/digits/far/Train", "datasets/digits/far/photos", "train"),
    ],
)
def test_names_of_one_level_differ_in_more_than_case(edited, demo, path, like, other):
    value = demo
    for step in like.split("/"):
        value = value[step]
    value = value | {"seed": 1} if "/far/" in path else value
    assert told(edited({path: value})) == [
        f"{path.replace('/', '.')}: differs from {other!r} in case alone, which some file systems do not see"
    ]


@pytest.mark.parametrize("name", ["demo-sio-gains", "demo-sio-GAINS", "demo-sio-wide", "demo-sio-leaderboard"])
def test_a_table_has_files_of_its_own(edited, demo, name):
    assert told(edited({f"tables/{name}": demo["tables"]["demo-sio"]})) == [
        f"tables.{name}: results/tables/{name}.csv is a file of table 'demo-sio'; take another name"
    ]


ODD_KEYS = {**ODD, "reversed": REVERSED, "broken": "a\nb", "hidden": ".a", "above": "../a", "empty": ""}
ENTRIES = ["datasets/digits", "recipes/ce", "detectors/msp", "tables/demo-sio", "datasets/digits/near/digits-8-9"]


@pytest.mark.parametrize("name", ODD_KEYS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_odd_names_are_refused_in_one_line_each(edited, entry, name):
    above, place = entry.split("/")[:-1], edited({})
    demo = place
    for step in above:
        place = place[step]
    place[ODD_KEYS[name]] = place[entry.rpartition("/")[2]]
    lines = [line for line in told(demo) if line.startswith(f"{'.'.join(above)}.")]
    wanted = ("should match pattern", "most 75 characters", "holds a line break or a control character")
    assert any(text in line for line in lines for text in wanted)
    assert not any(UNSAFE.search(line) for line in lines)


def test_a_table_is_built_once(edited):
    assert told(edited({"build": ["demo-sio", "demo-oal", "demo-sio"]})) == [
        "build.2: table 'demo-sio' is named before; name it once"
    ]


def test_tables_of_several_files(demo, edited):
    """Snakemake puts files into one: of a name in both the later file's keys count, names alike are refused."""
    first = edited({})
    update_config(first, {"tables": {"demo-sio": {"title": "Of the second file", "seeds": [7]}}})
    (same,) = (table for name, table in load(first).tables.items() if name == "demo-sio")
    assert (same.title, same.seeds, same.detectors) == (
        "Of the second file", [7], load(demo).tables["demo-sio"].detectors
    )  # fmt: skip
    second = edited({})
    update_config(second, {"tables": {"Demo-SIO": demo["tables"]["demo-sio"]}})
    with pytest.raises(
        SynthoodError, match=r"a\.yaml, b\.yaml: tables\.Demo-SIO: differs from 'demo-sio' in case alone"
    ):
        load(second, "a.yaml, b.yaml")


def test_a_name_fits_into_a_file_s_name(demo):
    name = "n" * 75
    assert len(f".{name}.safetensors.provenance.json.12345678.tmp".encode()) < 255
    assert name in load(renamed(demo, name)).datasets
    (line,) = {line.partition(": ")[2] for line in told(renamed(demo, name + "n")) if "most 75 characters" in line}
    assert line.startswith("string should have at most 75 characters, got 'nnn")


def classes(demo, names):
    demo["datasets"]["digits"]["id"] = {"kind": "folders", "path": "p", "classes": names}
    demo["datasets"]["digits"].pop("extra", None)
    demo["generators"]["sd"]["fit"]["extra_sets"] = []
    return demo


@pytest.mark.parametrize("twice", [["a", "b", "a"], ["é", "b", "e\u0301"], ["a ", "b", "a"]], ids=ascii)
def test_a_class_is_named_once(demo, twice):
    (line,) = told(classes(demo, twice))
    assert line.startswith("datasets.digits.id.classes: class ")
    assert "is named " in line
    assert "; name each " in line


def test_a_class_has_a_name(demo):
    assert told(classes(demo, ["a", " ", "b"])) == ["datasets.digits.id.classes.1: a class needs a name"]
    raw = classes(demo, ["a", "b"])
    raw["datasets"]["digits"]["id"] = {"kind": "arrays", "train": "a", "test": "b", "val_per_class": 1}
    raw["datasets"]["digits"]["id"]["classes"] = ["", "b"]
    assert told(raw) == ["datasets.digits.id.classes.0: string should have at least 1 character, got ''"]


@pytest.mark.parametrize("key", ["words", "glosses"])
def test_words_are_for_classes_that_there_are(demo, key):
    raw = classes(demo, ["hat", "shoe"])
    raw["generators"]["sd"][key] = {"hat": "a hat", "shoes": "a shoe"}
    assert told(raw) == [
        f"generators.sd.{key}.shoes: no dataset has this class; did you mean 'shoe'? (known: hat, shoe)"
    ]
    del raw["generators"]["sd"][key]["shoes"]
    assert load(raw).generators["sd"].words.keys() <= {"hat"}


def test_class_weights_are_for_classes_that_there_are(demo):
    raw = classes(demo, ["hat", "shoe"])
    raw["recipes"]["weighted"] = {"like": "ce", "class_weights": {"hat": 2.0, "shoes": 3.0}}
    line = "recipes.weighted.class_weights.shoes: no dataset has this class; did you mean 'shoe'? (known: hat, shoe)"
    assert line in told(raw)

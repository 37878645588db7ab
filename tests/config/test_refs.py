"""References between sections: every key that is a name says of what, and what lies behind an entry."""

from typing import get_args, get_origin

from synthood.common.settings import Name, Ref, Settings
from synthood.config.load import load
from synthood.config.models import Config
from synthood.config.refs import Entry, References
from synthood.plugins import Plugin, subclasses

PATTERN = repr(get_args(Name)[1].metadata[-1])


def behind(config, section, name, seed=None):
    found = References(config).behind(Entry(section, name, seed))
    return {f"{one.section}.{one.name}{'' if one.seed is None else f'@{one.seed}'}" for one in found[1:]}


def models(annotation, seen):
    """All classes of settings within a type."""
    if isinstance(annotation, type) and issubclass(annotation, Settings) and annotation not in seen:
        seen.add(annotation)
        for plugin in subclasses(annotation) if issubclass(annotation, Plugin) else ():
            models(plugin, seen)
        for field in annotation.model_fields.values():
            models(field.annotation, seen)
    for part in get_args(annotation):
        models(part, seen)
    return seen


def test_every_key_that_is_a_name_is_a_reference():
    names = {
        f"{model.__name__}.{key}": any(isinstance(one, Ref) for one in field.metadata)
        for model in models(Config, set())
        for key, field in model.model_fields.items()
        if PATTERN in repr(field) and get_origin(field.annotation) is not dict
    }
    assert len(names) > 20
    # Checked by their sections: what is of the same table, parts of the same dataset; a detector or auto; a free name.
    assert {key for key, marked in names.items() if not marked} == {
        "TableSettings.baselines",
        *(f"ComparisonSettings.{key}" for key in ("detectors", "sets", "metrics", "detector_baselines")),
        "AllowedOverlap.parts",
        "CustomMetric.name",
        "DeploySettings.detector",
    }


def test_paths_names_and_seeds_of_references(demo):
    references = References(load(demo))
    found = {path: to for path, to, _ in references}
    assert found["build.1"] == Entry("tables", "demo-oal")
    assert found["assess.judge"] == Entry("recipes", "judge", 1000)
    assert found["generators.sd.fit.extra_sets.0"] == Entry("extra", "digits-6-7")
    assert found["outliers.oal.gate.classifier"] == Entry("recipes", "ce", 0)
    assert found["tables.demo-sio.detectors.5"] == Entry("detectors", "react")
    oal = {path.removeprefix("recipes.oal."): to for path, to, _ in references.of(Entry("recipes", "oal", 7))}
    assert oal == {
        "warm_start": Entry("recipes", "ce"),
        "teacher.recipe": Entry("recipes", "teacher"),
        "outliers.from": Entry("outliers", "oal"),
    }


def test_what_lies_behind_a_model_with_the_seeds_of_other_models(edited):
    config = load(
        edited(
            {
                "recipes/sio-sd/teacher": {"recipe": "cutout", "seed": 3},
                "recipes/cutout/warm_start": "ce",
                "outliers/oal/gate/classifier_seed": 5,
                "generators/sd/filter": {"classifier": "teacher", "attempts_per_class": 200},
            }
        )
    )
    filtered = {"generators.sd", "extra.digits-6-7", "recipes.teacher@1001"}
    assert behind(config, "recipes", "sio-sd", 2) == filtered | {"recipes.cutout@3", "recipes.ce@3"}
    assert behind(config, "recipes", "oal", 2) == filtered | {
        "recipes.ce@2",
        "recipes.teacher@2",
        "outliers.oal",
        "recipes.ce@5",
    }
    assert behind(config, "recipes", "judge", 1) == set()


def test_what_lies_behind_a_table(demo):
    config = load(demo)
    recipes = {f"recipes.{name}" for name in ("ce-continued", "kd", "oal", "oal-random-outliers", "teacher", "ce")}
    detectors = {f"detectors.{name}" for name in demo["detectors"]}
    rest = {"datasets.digits", "outliers.oal", "recipes.ce@0", "generators.sd", "extra.digits-6-7"}
    assert behind(config, "tables", "demo-oal") == recipes | detectors | rest


def test_the_recipe_of_the_encoder_lies_behind_outliers(edited):
    config = load(edited({"outliers/oal/encoder": {"kind": "recipe", "recipe": "teacher", "seed": 4}}))
    assert "recipes.teacher@4" in behind(config, "outliers", "oal")


def test_an_extra_set_is_looked_for_after_sections_of_outliers(edited, demo):
    exposed = {"like": "ce", "exposure": {"kind": "uniform", "from": "oal"}}
    config = load(edited({"recipes/exposed": exposed}))
    assert behind(config, "recipes", "exposed") == {"outliers.oal", "recipes.ce@0", "generators.sd", "extra.digits-6-7"}
    exposed["exposure"]["from"] = "digits-6-7"
    assert behind(load(edited({"recipes/exposed": exposed})), "recipes", "exposed") == {"extra.digits-6-7"}

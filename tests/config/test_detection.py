"""Detectors of trained heads: told before any job where a table's recipe lacks what they read."""

import pytest
import yaml

from checkouts import PROJECT
from synthood.config.detection import detectors_for
from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.hyperparameters import OutOfRangeError
from synthood.plugins import plugins
from toy_features import toy_reference


@pytest.fixture
def raw() -> dict:
    return yaml.safe_load((PROJECT / "tests" / "config.yaml").read_text())


def asked(raw, kind: str, recipe: dict, **values: object):
    raw["recipes"]["own"] = {"like": "ce", **recipe}
    raw["detectors"]["it"] = {"kind": kind, **values}
    raw["tables"]["heads"] = {**raw["tables"]["small"], "recipes": ["own"], "baselines": ["own"], "detectors": ["it"]}
    return load(raw, "mine.yaml")


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [
        ("rotpred", {"rotation": {}}),
        ("vos", {"virtual_outliers": {"queue": 8}}),
        ("cider", {"contrastive": {"kind": "supcon"}}),
        ("mc-dropout", {"dropout": 0.3}),
    ],
)
def test_a_table_s_recipe_must_train_what_its_detector_reads(raw, kind: str, recipe: dict) -> None:
    config = asked(raw, kind, recipe)
    assert "it" in detectors_for(config, "own")
    assert "it" not in detectors_for(config, "ce")
    key = next(iter(recipe))
    message = rf"mine.yaml: tables.heads.detectors.0: 'it' reads what `{key}` trains, which recipe 'own' does not have"
    with pytest.raises(SynthoodError, match=message):
        asked(raw, kind, {})


def test_the_recipe_s_dropout_is_filled_in_and_a_probability_stands_for_itself(raw) -> None:
    assert detectors_for(asked(raw, "mc-dropout", {"dropout": 0.3}), "own")["it"].probability == 0.3
    config = asked(raw, "mc-dropout", {}, probability=0.4)
    assert detectors_for(config, "own")["it"].probability == detectors_for(config, "ce")["it"].probability == 0.4


def test_an_ensemble_needs_two_seeds_of_its_table(raw) -> None:
    raw["detectors"]["mean"] = {"kind": "ensemble"}
    table = raw["tables"]["small"] | {"recipes": ["ce"], "baselines": ["ce"], "detectors": ["mean"]}
    raw["tables"]["many"] = table | {"seeds": [0, 1]}
    assert "mean" not in detectors_for(load(raw), "ce")
    raw["tables"]["many"] = table
    with pytest.raises(SynthoodError, match=r"tables.many.seeds: 'mean' is the mean over them; name two or more"):
        load(raw)


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ({"kind": "vim", "dimension": 32}, r"detectors.it.dimension: 32 must be below 32, the penultimate features of"),
        ({"kind": "vim", "dimension": [64, 32]}, r"32 must be below 32, the penultimate features of recipes.ce"),
        ({"kind": "residual"}, r"detectors.it.dimension: 256 must be below 32, the penultimate features of recipes.ce"),
        ({"kind": "gmm", "dimension": 33}, r"detectors.it.dimension: 33 must be at most 32, the penultimate features"),
        ({"kind": "gen", "top": 4}, r"detectors.it.top: 4 must be at most 3, the classes"),
        ({"kind": "openmax", "alpha": 9}, r"detectors.it.alpha: 9 must be at most 3, the classes"),
    ],
)
def test_what_features_and_classes_are_too_few_for_is_refused_before_any_job(raw, detector: dict, message: str) -> None:
    """Of resnet8 with 8 channels, which has 32 features, on three classes."""
    raw["detectors"]["it"] = detector
    with pytest.raises(SynthoodError, match=message):
        load(raw, "mine.yaml")


@pytest.mark.parametrize(
    "detector",
    [
        {"kind": "vim", "dimension": 31},
        {"kind": "vim", "dimension": [31, 256]},
        {"kind": "gmm", "dimension": 32},
        {"kind": "gmm"},
        {"kind": "gen", "top": 3},
        {"kind": "openmax"},
    ],
)
def test_what_fits_is_taken(raw, detector: dict) -> None:
    load(raw | {"detectors": raw["detectors"] | {"it": detector}})


EVERY = plugins(Detector, "synthood.evaluation.detectors")


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, one in EVERY.items() for key in one.limited_by])
def test_bounds_are_those_of_the_fit(kind: str, key: str) -> None:
    """The largest value that the configuration allows is fitted, the next one is not."""
    reference = toy_reference()
    classes, features = reference.weight.shape
    most = {
        "features": features,
        "below features": features - 1,
        "classes": classes,
        "training images": len(reference.bank),
    }[EVERY[kind].limited_by[key]]
    EVERY[kind](**{key: most}).fit(reference)
    with pytest.raises(OutOfRangeError):
        EVERY[kind](**{key: most + 1}).fit(reference)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ("biggan", "'biggan' is of kind biggan; name one of kind stable-diffusion with `fit`"),
        ("bought", "'bought' is a checkpoint made elsewhere; name one of kind stable-diffusion with `fit`"),
        ("ds", "no generator is named 'ds'"),
    ],
)
def test_a_denoiser_is_one_that_was_fitted_here(raw, generator: str, message: str) -> None:
    plain = {"kind": "stable-diffusion", "images_per_class": 5, "block_size": 15}
    raw["generators"]["bought"] = plain | {"pretrained": {"from": "there"}}
    raw["detectors"]["it"] = {"kind": "cfs", "generator": "sd"}
    assert "it" not in detectors_for(load(raw), "ce")
    raw["detectors"]["it"]["generator"] = generator
    with pytest.raises(SynthoodError, match=rf"detectors.it.generator: {message}"):
        load(raw)

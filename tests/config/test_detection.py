"""Detectors of trained heads: told before any job where a table's recipe lacks what they read."""

import pytest
import yaml

from checkouts import PROJECT
from synthood.config.detection import detectors_for
from synthood.config.load import load
from synthood.errors import SynthoodError


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

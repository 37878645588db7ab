"""Which recipes of a table differ in one setting alone."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from synthood.config.load import load
from synthood.workflow.plan.varied import varied, varied_by_datasets

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    return yaml.safe_load((PROJECT / "config.yaml").read_text())


def of(raw: dict[str, Any], recipes: dict[str, Any], generators: dict[str, Any] | None = None) -> dict[str, Any]:
    """What recipes vary that are added to the demo."""
    given = copy.deepcopy(raw)
    given["recipes"] |= recipes
    given["generators"] |= generators or {}
    return varied(load(given, "config", []), ["ce", *recipes])


def sio(alpha: float, generator: str = "biggan") -> dict[str, Any]:
    return {"like": "ce", "synthetic": {"from": generator, "alpha": alpha}}


def test_alpha(raw: dict[str, Any]) -> None:
    found = of(raw, {"a": sio(0.5), "b": sio(0.8), "c": sio(0.9)})
    assert found == {"synthetic.alpha": {"a": 0.5, "b": 0.8, "c": 0.9}}


def test_images_per_class_of_the_generator(raw: dict[str, Any]) -> None:
    generators = {f"biggan-{n}": {"like": "biggan", "images_per_class": n} for n in (10, 30)}
    found = of(raw, {"few": sio(0.8, "biggan-10"), "some": sio(0.8, "biggan-30"), "all": sio(0.8)}, generators)
    assert found == {"synthetic.from.images_per_class": {"few": 10.0, "some": 30.0, "all": 100.0}}


def test_recipes_that_differ_in_more_are_no_curve(raw: dict[str, Any]) -> None:
    assert of(raw, {"a": sio(0.5), "b": sio(0.8), "c": sio(0.9, "sd")}) == {}
    assert of(raw, {"a": sio(0.5), "b": sio(0.8), "c": sio(0.9) | {"epochs": 9}}) == {}
    assert of(raw, {"a": sio(0.5), "b": sio(0.8)}) == {}  # two values are no curve


def test_images_per_class_of_datasets() -> None:
    file = PROJECT / "configs/sio-cifar10-few-small.yaml"
    config = load(yaml.safe_load(file.read_text()), str(file), [])
    found = varied_by_datasets(config, ["few1500", "few100", "few500", "all5000"])
    assert found == {"id.train_per_class": {"few1500": 1500.0, "few100": 100.0, "few500": 500.0, "all5000": 5000.0}}
    assert varied_by_datasets(config, ["few100", "few500"]) == {}


def test_the_demo_varies_nothing(raw: dict[str, Any]) -> None:
    config = load(raw, "config", [])
    assert [varied(config, table.recipes) for table in config.tables.values()] == [{}, {}]

"""Outliers of kind `inverted` in a configuration: defaults are the published code's, mistakes have their path."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.outliers.kinds.inverted import InvertedOutliers

DEMO = Path(__file__).parents[3] / "config.yaml"


@pytest.fixture
def raw() -> dict[str, Any]:
    """The demo with a section of this kind, and recipes that read its images, and its tokens and latents."""
    found: dict[str, Any] = copy.deepcopy(yaml.safe_load(DEMO.read_text()))
    gate = {"classifier": "ce", "keep_per_class": 5}
    latents = {"attempts_per_class": 5}
    found["outliers"]["ncis"] = {"kind": "inverted", "generator": "sd", "latents": latents, "gate": gate}
    found["recipes"]["exposed"] = {"like": "ce", "exposure": {"kind": "uniform", "from": "ncis"}}
    found["recipes"]["contrasted"] = {"like": "kd", "outliers": {"from": "ncis"}}
    return found


def message_of(raw: dict[str, Any]) -> str:
    with pytest.raises(SynthoodError) as caught:
        load(raw, "my.yaml")
    return str(caught.value)


def test_defaults_are_the_published_code_s(raw: dict[str, Any]) -> None:
    """Three steps of 32 draws; four couplings, 200 epochs of 64; the last 5 % of variance; 10 of 3330 draws."""
    section = load(raw).outliers["ncis"]
    assert isinstance(section, InvertedOutliers)
    assert (section.inversion.steps, section.inversion.draws) == (3, 32)
    flow = section.flow
    assert (flow.layers, flow.epochs, flow.batch_size, flow.learning_rate, flow.variance) == (4, 200, 64, 1e-4, 0.05)
    assert section.tail.quantile == pytest.approx(1 - 10 / 3330, abs=1e-5)
    assert section.pictures(judged=True) == ["gallery.png"]
    assert section.pictures(judged=False) == ["gate.safetensors"]


def test_its_generator_makes_images_of_prompts(raw: dict[str, Any]) -> None:
    raw["outliers"]["ncis"]["generator"] = "biggan"
    assert message_of(raw) == (
        "my.yaml: outliers.ncis.generator: 'biggan' is of kind 'biggan', expected 'stable-diffusion'"
    )


def test_no_more_are_taken_than_are_sampled(raw: dict[str, Any]) -> None:
    raw["outliers"]["ncis"]["gate"]["keep_per_class"] = 6
    assert message_of(raw) == (
        "my.yaml: outliers.ncis.gate.keep_per_class: must not be above latents.attempts_per_class 5, got 6"
    )


def test_tokens_of_some_images_are_for_exposure_alone(raw: dict[str, Any]) -> None:
    raw["outliers"]["ncis"]["inversion"] = {"per_class": 20}
    assert message_of(raw) == (
        "my.yaml: recipes.contrasted.outliers.from: 'ncis' has tokens of some ID images alone; take its "
        "inversion.per_class away"
    )
    del raw["recipes"]["contrasted"]
    load(raw)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("tail", "quantile", 1.0, "input should be less than 1, got 1"),
        ("tail", "shrinkage", 1.5, "input should be less than or equal to 1, got 1.5"),
        ("inversion", "per_class", 1, "input should be greater than or equal to 2, got 1"),
        ("inversion", "draws", 0, "input should be greater than or equal to 1, got 0"),
        ("flow", "learning_rate", 0.0, "input should be greater than 0, got 0"),
    ],
)
def test_numbers_that_make_no_sense(raw: dict[str, Any], section: str, key: str, value: float, message: str) -> None:
    raw["outliers"]["ncis"][section] = {key: value}
    assert message_of(raw).startswith(f"my.yaml: outliers.ncis.{section}.{key}: {message}")

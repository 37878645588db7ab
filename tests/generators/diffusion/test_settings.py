"""Which sampler a section means, and what of it stands in a job's parameter."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.workflow.plan import Plan

CONFIG = Path(__file__).parents[2] / "config.yaml"
FIT = {"autoencoder_steps": 1, "denoiser_steps": 1}


def plan_of(**generator: Any) -> Plan:
    raw = json.loads(json.dumps(yaml.safe_load(CONFIG.read_text())))
    raw["generators"]["sd"] = {"kind": "stable-diffusion", "images_per_class": 5, "block_size": 15} | generator
    return Plan(load(raw))


def parameters(plan: Plan) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the jobs that fit and that sample."""
    wild: Any = SimpleNamespace(dataset="digits", generator="sd", block="0")
    settings = plan.fit_settings(wild), plan.block_settings(wild)
    fit, block = (json.loads(one.canonical())["generator"] for one in settings)
    return fit, block


@pytest.mark.parametrize(
    ("sample", "written"),
    [
        ({}, {"sampler": "fast"}),
        ({"batch_size": 4}, {"sampler": "fast", "batch_size": 4}),
        ({"sampler": "fast", "steps": 20}, {"sampler": "fast"}),
        ({"sampler": "fast", "steps": 10, "guidance": 2.0}, {"sampler": "fast", "steps": 10, "guidance": 2.0}),
        ({"sampler": "paper", "steps": 50, "guidance": 7.5}, {"sampler": "paper"}),
        ({"sampler": "few-step", "steps": 1}, {"sampler": "few-step", "steps": 1}),
    ],
)
def test_pretrained_checkpoints_are_sampled_fast_by_default(sample: dict[str, Any], written: dict[str, Any]) -> None:
    fit, block = parameters(plan_of(pretrained={"from": "a/b"}, sample=sample, words={"one": "1"}))
    assert fit == {"kind": "stable-diffusion", "pretrained": {"from": "a/b"}, "words": {"one": "1"}}
    assert block == {"kind": "stable-diffusion", "sample": written}


def test_a_miniature_is_sampled_as_ever() -> None:
    """Ten steps of DPM-Solver++ and a guidance of two, neither of them in the parameter."""
    plan = plan_of(fit=FIT, sample={"steps": 10})
    assert parameters(plan)[1] == {"kind": "stable-diffusion"}
    sample = plan.config.generators["sd"].sample
    assert (sample.steps, sample.guidance, sample.batch_size) == (10, 2.0, 100)


@pytest.mark.parametrize(
    ("generator", "told"),
    [
        ({}, r"generators\.sd: needs either `fit:` .* or `pretrained:`"),
        ({"fit": FIT, "pretrained": {"from": "a/b"}}, r"generators\.sd: needs either"),
        ({"fit": FIT, "sample": {"sampler": "fats"}}, r"sd\.sample: unknown kind 'fats'; did you mean 'fast'"),
        ({"fit": FIT, "sample": {"sampler": "few-step", "steps": 9}}, r"sd\.sample\.steps: .* less than or equal to 8"),
        (
            {"fit": FIT, "sample": {"sampler": "paper", "step": 9}},
            r"sd\.sample\.step: unknown key; did you mean 'steps'",
        ),
        ({"fit": FIT, "prompts": ["a photo"]}, r"sd\.prompts\.0: string should match"),
        ({"pretrained": {"from": "a/b", "lora": {"from": "c", "file": "c.bin"}}}, r"pretrained\.lora\.file: string"),
    ],
)
def test_wrong_settings_are_told_by_their_key(generator: dict[str, Any], told: str) -> None:
    with pytest.raises(SynthoodError, match=told):
        plan_of(**generator)


def test_a_changed_checkpoint_is_set_up_again(tmp_path: Path) -> None:
    wild: Any = SimpleNamespace(dataset="digits", generator="sd", block="0")
    (tmp_path / "unet").mkdir()
    weights = tmp_path / "unet" / "model.safetensors"
    weights.write_bytes(b"1")
    plan = plan_of(pretrained={"from": str(tmp_path)})
    before = plan.generator_state(wild)
    assert before == plan.generator_state(wild) != ""
    weights.write_bytes(b"22")
    assert plan.generator_state(wild) != before
    assert plan_of(pretrained={"from": "owner/name", "revision": "1"}).generator_state(wild) == ""
    assert plan_of(fit=FIT).generator_state(wild) == ""

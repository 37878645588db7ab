"""Stable Diffusion as a folder."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from synthood.errors import SynthoodError
from synthood.generators.diffusion import miniature, pipelines, prompt_tokens, sampling
from synthood.generators.diffusion.samplers.dpm_solver import StableDiffusionSample
from synthood.generators.diffusion.settings import StableDiffusionFit

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PROMPTS = ["a photo of the digit one", "a photo of the digit two"]
QUICK = StableDiffusionSample(steps=2, batch_size=2, guidance=2.0)


@pytest.fixture(scope="module")
def pipeline(diffusion_settings: StableDiffusionFit) -> StableDiffusionPipeline:
    return miniature.build(PROMPTS, 16, diffusion_settings)


def test_saved_and_loaded_gives_the_same_images(pipeline: StableDiffusionPipeline, tmp_path: Path) -> None:
    pipelines.save(pipeline, tmp_path / "model")
    other = pipelines.load(tmp_path / "model")
    assert torch.equal(prompt_tokens.token_ids(other, PROMPTS), prompt_tokens.token_ids(pipeline, PROMPTS))
    first, second = (sampling.sample(one, PROMPTS, [1, 2], QUICK) for one in (pipeline, other))
    assert first.shape == (2, 16, 16, 3)
    assert first.dtype == torch.uint8
    assert first.float().std() > 5
    assert torch.equal(first, second)


def test_a_folder_without_a_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match="not a readable Stable Diffusion folder"):
        pipelines.load(tmp_path)
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(SynthoodError, match=r"model_index\.json': not readable JSON"):
        pipelines.load(tmp_path)

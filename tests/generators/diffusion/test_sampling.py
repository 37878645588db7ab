"""Sampling: seeds, prompts, guidance, batches, and the way between images and latents."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.common.iterate import ResumeFile
from synthood.generators.diffusion import miniature, miniature_fit, sampling
from synthood.generators.diffusion.samplers.dpm_solver import StableDiffusionSample
from synthood.generators.diffusion.settings import StableDiffusionFit

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PROMPTS = ["a photo of the digit one", "a photo of the digit two"]
QUICK = StableDiffusionSample(steps=2, batch_size=2, guidance=2.0)


@pytest.fixture(scope="module")
def pipeline(diffusion_settings: StableDiffusionFit) -> StableDiffusionPipeline:
    return miniature.build(PROMPTS, 16, diffusion_settings)


def test_each_image_comes_from_its_seed_and_prompt(pipeline: StableDiffusionPipeline) -> None:
    """Batches of two: the cut last batch is filled up, and order does not show."""
    prompts, seeds = [PROMPTS[0], PROMPTS[1], PROMPTS[0]], [3, 4, 5]
    every = sampling.sample(pipeline, prompts, seeds, QUICK)
    assert len(every) == 3
    assert torch.equal(sampling.sample(pipeline, prompts[:2], seeds[:2], QUICK), every[:2])
    alone = sampling.sample(pipeline, prompts[2:], seeds[2:], QUICK).int()
    assert (alone[0] - every[2].int()).abs().max() <= 1
    assert (every[0].int() - every[2].int()).abs().max() > 20  # one prompt, two seeds
    reseeded = sampling.sample(pipeline, prompts, [3, 9, 5], QUICK)
    assert torch.equal(reseeded[[0, 2]], every[[0, 2]])
    assert (reseeded[1].int() - every[1].int()).abs().max() > 20


def test_prompt_and_guidance_count(pipeline: StableDiffusionPipeline) -> None:
    """The denoiser is untrained, yet its text conditions it."""
    strong = StableDiffusionSample(steps=2, batch_size=2, guidance=50.0)
    same, other = sampling.sample(pipeline, PROMPTS, [1, 1], strong).int()
    assert (same - other).abs().max() > 1
    weak = sampling.sample(pipeline, PROMPTS, [1, 1], QUICK).int()
    assert (weak[0] - same).abs().max() > 1


def test_image_latents_are_the_scaled_means_of_the_autoencoder(
    diffusion_settings: StableDiffusionFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the pipeline's own preprocessing, image by image, whatever is encoded at once."""
    pipeline = miniature.build(PROMPTS, 16, diffusion_settings)
    pipeline.vae.register_to_config(scaling_factor=2.5)
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    expected = []
    for image in images:
        point = pipeline.image_processor.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
        with torch.no_grad():
            expected.append(2.5 * pipeline.vae.encode(point).latent_dist.mode())
    found = sampling.image_latents(pipeline, images)
    assert found.shape == (5, 4, 8, 8)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(sampling, "DECODED_PIXELS", 2 * 16 * 16)
    torch.testing.assert_close(sampling.image_latents(pipeline, images), found, rtol=1e-4, atol=1e-5)
    assert torch.equal(sampling.image_latents(pipeline, images), sampling.image_latents(pipeline, images))


def test_decoded_does_not_depend_on_what_is_decoded_at_once(
    pipeline: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = torch.randn((5, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    whole = sampling.decoded(pipeline, latents)
    assert whole.shape == (5, 16, 16, 3)
    assert whole.dtype == torch.uint8
    monkeypatch.setattr(sampling, "DECODED_PIXELS", 2 * 16 * 16)
    parts = sampling.decoded(pipeline, latents)
    assert (whole.int() - parts.int()).abs().max() <= 1
    assert (whole[0].int() - whole[4].int()).abs().max() > 5


def test_image_latents_decode_back_near_their_images(
    diffusion_settings: StableDiffusionFit, pictures: Callable[[int, int], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a fitted autoencoder, each comes nearest to its own of four images, and within a fraction of the rest."""
    monkeypatch.setattr(miniature_fit, "AUTOENCODER_BATCH", 4)
    points = pictures(4, 16)
    longer = diffusion_settings.model_copy(update={"autoencoder_steps": 120, "learning_rate": 5e-3})
    pipeline = miniature.build(PROMPTS, 16, longer)
    miniature_fit.fit_autoencoder(pipeline.vae, points, longer, ResumeFile(None, ""))
    images = ((points.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    back = sampling.decoded(pipeline, sampling.image_latents(pipeline, images.numpy()))
    distances = torch.cdist(back.flatten(1).float(), images.flatten(1).float())
    assert distances.argmin(1).tolist() == [0, 1, 2, 3]
    others = distances[~torch.eye(4, dtype=torch.bool)]
    assert distances.diagonal().max() < 0.4 * others.min()

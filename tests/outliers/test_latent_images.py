"""Images of one size, latents of another."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from synthood.generators.diffusion import sampling
from synthood.outliers import latent_images
from synthood.outliers.latent_images import id_latents, images_of, resized_bytes


def test_images_of_the_generator_s_size_pass_as_they_are(pipeline: StableDiffusionPipeline) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    expected = sampling.image_latents(pipeline, images)
    torch.testing.assert_close(id_latents(pipeline, images), expected)
    assert torch.equal(images_of(pipeline, expected, 16, 16), sampling.decoded(pipeline, expected))


def test_smaller_images_are_enlarged_and_decoded_ones_reduced(pipeline: StableDiffusionPipeline) -> None:
    """Half the size."""
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    latents = id_latents(pipeline, images)
    assert latents.shape == (3, 4, 8, 8)
    enlarged = resized_bytes(torch.from_numpy(images), 16, 16).numpy()
    torch.testing.assert_close(latents, sampling.image_latents(pipeline, enlarged))
    decoded = images_of(pipeline, latents, 8, 8)
    assert decoded.shape == (3, 8, 8, 3)
    assert torch.equal(decoded, resized_bytes(sampling.decoded(pipeline, latents), 8, 8))


def test_few_pixels_at_once(pipeline: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    whole = id_latents(pipeline, images)
    monkeypatch.setattr(latent_images, "PIXELS_AT_ONCE", 1)
    torch.testing.assert_close(id_latents(pipeline, images), whole, atol=1e-5, rtol=1e-4)


def test_a_flat_image_stays_flat_in_any_size() -> None:
    flat = torch.full((1, 9, 5, 3), 77, dtype=torch.uint8)
    assert torch.equal(resized_bytes(flat, 4, 20), torch.full((1, 4, 20, 3), 77, dtype=torch.uint8))

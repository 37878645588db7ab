"""Maps inside a miniature's U-Net: where, of what noise, and pooled as numpy does."""

import re

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from synthood.common.pixels import signed
from synthood.errors import SynthoodError
from synthood.generators.diffusion import miniature
from synthood.generators.diffusion.settings import StableDiffusionFit
from synthood.generators.diffusion.snapshots import Snapshots, pooled

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pipeline(diffusion_settings: StableDiffusionFit) -> StableDiffusionPipeline:
    made = miniature.build(["a photo of the digit one", ""], 16, diffusion_settings)
    for network in (made.unet, made.vae, made.text_encoder):
        network.eval()
    return made


@pytest.fixture(scope="module")
def inside(pipeline: StableDiffusionPipeline) -> Snapshots:
    return Snapshots(pipeline, "here")


@pytest.mark.parametrize("log_snr", [-20.0, -3.0, 0.0, 2.5, 5.0, 20.0])
def test_the_level_is_the_nearest_step_of_training(log_snr: float, inside: Snapshots) -> None:
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = np.cumprod(1 - betas)
    assert inside.level(log_snr) == np.argmin(np.abs(np.log(kept / (1 - kept)) - log_snr))


def test_pooled_by_numpy() -> None:
    maps = torch.randn((3, 5, 4, 4), generator=torch.Generator().manual_seed(0))
    maps[0, 2] = 7.0
    flat = maps.double().numpy().reshape(3, 5, 16)
    expected = np.concatenate([flat.mean(2), np.sqrt(np.maximum(flat.var(2), 1e-6))], 1)
    np.testing.assert_allclose(pooled(maps).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_maps_are_of_the_last_blocks_before_the_coarsest_and_before_the_finest_stage(
    pipeline: StableDiffusionPipeline, inside: Snapshots
) -> None:
    """By a pass of our own with the same noise, found back from what reaches the U-Net; 8 x 8 and 4 x 4 places."""
    seen: dict[str, torch.Tensor] = {}
    places = {"encoder": "down_blocks.0.resnets.0", "decoder": "up_blocks.0.resnets.1"}
    hooks = [
        pipeline.unet.get_submodule(place).register_forward_hook(lambda m, i, out, name=name: seen.update({name: out}))
        for name, place in places.items()
    ]
    hooks.append(pipeline.unet.conv_in.register_forward_hook(lambda m, given, o: seen.update(noisy=given[0])))
    try:
        found = inside.of(IMAGES, 5.0, 0)
    finally:
        for hook in hooks:
            hook.remove()
    assert {name: tuple(seen[name].shape[2:]) for name in places} == {"encoder": (8, 8), "decoder": (4, 4)}
    for name in places:
        assert torch.equal(found[name], pooled(seen[name]))
    with torch.no_grad():
        clean = pipeline.vae.encode(signed(IMAGES)).latent_dist.mean * pipeline.vae.config.scaling_factor
    share = float(inside.kept[inside.level(5.0)])
    noise = (seen["noisy"] - share**0.5 * clean) / (1 - share) ** 0.5
    assert abs(float(noise.mean())) < 0.1
    assert float(noise.std()) == pytest.approx(1, abs=0.1)


def test_an_image_s_maps_depend_on_its_pixels_and_the_seed_alone(inside: Snapshots) -> None:
    whole = inside.of(IMAGES, 5.0, 0)
    order = [4, 1, 5]
    few = inside.of(IMAGES[order], 5.0, 0)
    for region, values in few.items():
        torch.testing.assert_close(values, whole[region][order], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(inside.of(IMAGES, 5.0, 1)[region], whole[region], atol=1e-3)
        assert not torch.allclose(inside.of(IMAGES, 0.0, 0)[region], whole[region], atol=1e-3)


def test_images_of_another_size_are_refused(inside: Snapshots) -> None:
    with pytest.raises(SynthoodError, match=re.escape("here: fitted on images of 16 px, got 32 x 32; fit it again")):
        inside.of(np.zeros((1, 32, 32, 3), np.uint8), 5.0, 0)

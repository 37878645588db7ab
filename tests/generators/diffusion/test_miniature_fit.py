"""Fitting the miniature Stable Diffusion."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.generators.diffusion import miniature, miniature_fit
from synthood.generators.diffusion.settings import StableDiffusionFit

PROMPTS = ["a photo of the digit one", "a photo of the digit two"]
NO_RESUME = ResumeFile(None, "")
State = dict[str, Tensor]


@pytest.fixture
def images(pictures: Callable[[int, int], Tensor]) -> Tensor:
    return pictures(6, 16)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miniature_fit, "AUTOENCODER_BATCH", 4)


def fit_all(
    images: Tensor, settings: StableDiffusionFit, resume: ResumeFile = NO_RESUME
) -> tuple[StableDiffusionPipeline, State]:
    pipeline = miniature.build(PROMPTS, 16, settings)
    miniature_fit.fit_autoencoder(pipeline.vae, images, settings, resume)
    index = torch.arange(len(images)) % 2
    miniature_fit.fit_denoiser(pipeline, images, index, PROMPTS, settings, torch.float32, resume)
    parts = {"vae": pipeline.vae, "unet": pipeline.unet, "text": pipeline.text_encoder}
    return pipeline, {f"{name}.{key}": v for name, part in parts.items() for key, v in part.state_dict().items()}


def equal(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[key]) for key, value in a.items())


def test_a_short_fit(images: Tensor, diffusion_settings: StableDiffusionFit) -> None:
    pipeline, state = fit_all(images, diffusion_settings)
    assert all(bool(value.isfinite().all()) for value in state.values())
    assert not any(part.training for part in (pipeline.vae, pipeline.unet, pipeline.text_encoder))
    start = miniature.build(PROMPTS, 16, diffusion_settings)
    for name in ("vae", "unet", "text_encoder"):
        before = getattr(start, name).state_dict()
        moved = [
            key for key, value in getattr(pipeline, name).state_dict().items() if not torch.equal(value, before[key])
        ]
        assert len(moved) > 10
    latents = miniature_fit.latent_means(pipeline.vae, images) * pipeline.vae.config.scaling_factor
    assert latents.shape == (6, 4, 8, 8)
    assert latents.std().item() == pytest.approx(1, abs=1e-4)


def test_fit_depends_on_its_settings_alone(images: Tensor, diffusion_settings: StableDiffusionFit) -> None:
    torch.manual_seed(1)
    _, first = fit_all(images, diffusion_settings)
    torch.manual_seed(2)
    assert equal(first, fit_all(images, diffusion_settings)[1])


@pytest.mark.parametrize(("share", "same"), [(1.0, True), (0.0, False)])
def test_dropped_prompts_are_not_learned(
    images: Tensor, diffusion_settings: StableDiffusionFit, monkeypatch: pytest.MonkeyPatch, share: float, same: bool
) -> None:
    """With all of them left out, it does not count which prompt an image has."""
    monkeypatch.setattr(miniature_fit, "PROMPT_DROPOUT", share)

    def denoiser(index: Tensor) -> State:
        pipeline = miniature.build(PROMPTS, 16, diffusion_settings)
        miniature_fit.fit_denoiser(pipeline, images, index, PROMPTS, diffusion_settings, torch.float32, NO_RESUME)
        return dict(pipeline.unet.state_dict())

    assert equal(denoiser(torch.arange(6) % 2), denoiser((torch.arange(6) + 1) % 2)) == same


@pytest.mark.parametrize("name", ["autoencoder", "denoiser"])
def test_resumed_equals_undisturbed(
    images: Tensor,
    diffusion_settings: StableDiffusionFit,
    tmp_path: Path,
    interrupted: Any,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """Broken off within either fit; a fit that had ended is not done again."""
    with pytest.raises(KeyboardInterrupt):
        fit_all(images, diffusion_settings, interrupted(tmp_path, name, 2))
    capsys.readouterr()
    _, resumed = fit_all(images, diffusion_settings, ResumeFile(tmp_path, "job"))
    told = capsys.readouterr().out
    assert f"{name}: resumed at step 2 of 3" in told
    assert ("autoencoder: resumed at step 3 of 3" in told) == (name == "denoiser")
    assert equal(resumed, fit_all(images, diffusion_settings)[1])


def test_a_loss_that_is_not_finite_is_named(images: Tensor, diffusion_settings: StableDiffusionFit) -> None:
    wild = diffusion_settings.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(SynthoodError, match=r"autoencoder: \w+ became (nan|inf) at step \d with learning rate \d"):
        fit_all(images, wild)
    pipeline = miniature.build(PROMPTS, 16, diffusion_settings)
    with pytest.raises(SynthoodError, match=r"denoiser: loss became (nan|inf) at step \d with learning rate \d"):
        miniature_fit.fit_denoiser(
            pipeline, images, torch.zeros(6, dtype=torch.int64), PROMPTS, wild, torch.float32, NO_RESUME
        )


def test_the_autoencoder_learns(images: Tensor, diffusion_settings: StableDiffusionFit) -> None:
    longer = diffusion_settings.model_copy(update={"autoencoder_steps": 40, "learning_rate": 5e-3})
    autoencoder = miniature.build(PROMPTS, 16, longer).vae

    @torch.no_grad()
    def error() -> float:
        decoded = autoencoder.decode(autoencoder.encode(images).latent_dist.mean).sample
        return float((decoded - images).square().mean())

    before = error()
    miniature_fit.fit_autoencoder(autoencoder, images, longer, NO_RESUME)
    assert error() < 0.5 * before


def test_cached_latents_are_scaled_and_described(images: Tensor, diffusion_settings: StableDiffusionFit) -> None:
    autoencoder = miniature.build(PROMPTS, 16, diffusion_settings).vae.eval()
    autoencoder.register_to_config(scaling_factor=2.5)
    index = torch.tensor([0, 1, 1, 0, 1, 0])
    latents, described = miniature_fit.cached_latents(autoencoder, images, index, seed=0)
    copies = 1 + miniature_fit.SHIFTED_COPIES
    assert latents.shape == (6 * copies, 4, 8, 8)
    assert described.tolist() == index.tolist() * copies
    torch.testing.assert_close(latents[:6], 2.5 * miniature_fit.latent_means(autoencoder, images))
    assert not torch.allclose(latents[6:12], latents[:6], atol=1e-3)
    assert not torch.allclose(latents[6:12], latents[12:18], atol=1e-3)

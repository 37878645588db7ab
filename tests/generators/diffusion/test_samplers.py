"""The pipeline's own sampling loop against diffusers' pipelines, for every sampler and kind of checkpoint."""

from typing import Any

import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
)

from synthood.errors import SynthoodError
from synthood.generators.diffusion import sampling
from synthood.generators.diffusion.conditions import encoded_prompts
from synthood.generators.diffusion.samplers.base import Sampler
from synthood.generators.diffusion.samplers.dpm_solver import FastSample, StableDiffusionSample
from synthood.generators.diffusion.samplers.few_step import FewStepSample
from synthood.generators.diffusion.samplers.plms import PaperSample
from toy_checkpoints import stable_diffusion_1, stable_diffusion_xl

PROMPTS = ["a photo of the cat", "a photo of the dog", "a sketch of ice cream"]
SEEDS = [5, 6, 7]
PAPER = PaperSample(sampler="paper", steps=5, batch_size=3)
FAST = FastSample(sampler="fast", steps=3, batch_size=3, negative_prompt="blurry")
FEW = FewStepSample(sampler="few-step", steps=2, batch_size=3)


@pytest.fixture(scope="module", params=["sd", "xl"])
def pipeline(request: pytest.FixtureRequest) -> StableDiffusionPipeline:
    made = stable_diffusion_1() if request.param == "sd" else stable_diffusion_xl()
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("settings", [PAPER, FAST, FEW], ids=lambda one: one.sampler)
def test_images_are_those_of_diffusers(
    pipeline: StableDiffusionPipeline, settings: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = sampling.sample(pipeline, PROMPTS, SEEDS, settings)
    monkeypatch.setattr(pipeline, "scheduler", settings.scheduler(pipeline))
    theirs = pipeline(
        PROMPTS,
        negative_prompt=[settings.negative_prompt] * 3 if settings.negative_prompt else None,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        output_type="pt",
    ).images
    theirs = (theirs * 255).round().permute(0, 2, 3, 1)
    assert (ours - theirs).abs().max() <= 1
    assert ours.float().std() > 20
    assert (ours[0].float() - ours[1].float()).abs().max() > 20


@pytest.mark.parametrize(
    ("settings", "kind", "evaluations"),
    [
        (PaperSample(sampler="paper"), PNDMScheduler, 51),
        (FastSample(sampler="fast"), DPMSolverMultistepScheduler, 20),
        (StableDiffusionSample(), DPMSolverMultistepScheduler, 10),
        (FewStepSample(sampler="few-step"), LCMScheduler, 4),
    ],
)
def test_each_sampler_is_the_published_one(settings: Sampler, kind: type, evaluations: int) -> None:
    """PLMS begins with an extra evaluation."""
    scheduler = settings.scheduler(stable_diffusion_1())
    scheduler.set_timesteps(settings.steps)
    assert type(scheduler) is kind
    assert len(scheduler.timesteps) == evaluations
    if kind is DPMSolverMultistepScheduler:
        assert (scheduler.config.algorithm_type, scheduler.config.solver_order) == ("dpmsolver++", 2)


def test_turbo_keeps_its_own_sampler() -> None:
    assert type(FEW.scheduler(stable_diffusion_xl())) is EulerAncestralDiscreteScheduler


def test_a_distilled_guidance_is_an_input_of_the_network() -> None:
    """Of LCM: one evaluation per step, whatever the guidance; the guidance is told as an embedding."""
    pipeline = stable_diffusion_1(time_cond_proj_dim=8)
    told: list[dict[str, Any]] = []
    pipeline.unet.register_forward_pre_hook(lambda module, inputs, more: told.append(more), with_kwargs=True)
    sampling.sample(pipeline, PROMPTS, SEEDS, FEW.model_copy(update={"guidance": 8.5}))
    assert len(told) == 2
    for one in told:
        assert one["encoder_hidden_states"].shape[0] == 3
        torch.testing.assert_close(
            one["timestep_cond"], pipeline.get_guidance_scale_embedding(torch.full((3,), 7.5), embedding_dim=8)
        )


def test_every_prompt_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two distinct prompts and the empty one, whatever the number of images and batches."""
    pipeline = stable_diffusion_1()
    seen: list[int] = []
    pipeline.text_encoder.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    settings = FAST.model_copy(update={"batch_size": 2, "steps": 1})
    sampling.sample(pipeline, PROMPTS[:2] * 3, [*range(6)], settings)
    assert seen == [2, 1]


def test_prompts_that_would_be_cut_are_told() -> None:
    with pytest.raises(SynthoodError, match="is 12 tokens, the checkpoint reads 10; shorten it"):
        encoded_prompts(stable_diffusion_1(), [" ".join(["cat"] * 10)], "")


def test_latents_of_xl_are_refused() -> None:
    with pytest.raises(SynthoodError, match=r"outliers need a Stable Diffusion 1\.x or 2"):
        sampling.sample_latents(stable_diffusion_xl(), torch.zeros(1, 10, 32), [1], FAST)


def test_sizes_other_than_the_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = stable_diffusion_1()
    settings = FAST.model_copy(update={"size": 24, "steps": 1})
    assert sampling.sample(pipeline, PROMPTS, SEEDS, settings).shape == (3, 24, 24, 3)
    assert "sampling at 24 px with a checkpoint trained at 16 px" in capsys.readouterr().out
    with pytest.raises(SynthoodError, match=r"sample.size 22: .* a multiple of 4"):
        sampling.sample(pipeline, PROMPTS, SEEDS, settings.model_copy(update={"size": 22}))


def test_bfloat16_is_near_float32() -> None:
    pipeline = stable_diffusion_1()
    exact = sampling.sample(pipeline, PROMPTS, SEEDS, FAST).int()
    coarse = FAST.model_copy(update={"precision": "bfloat16"})
    rounded = sampling.sample(pipeline, PROMPTS, SEEDS, coarse).int()
    assert pipeline.unet.dtype == pipeline.vae.dtype == torch.bfloat16
    difference = (exact - rounded).abs().float()
    assert 0 < difference.mean() < 4


def test_resized_as_pillow_would() -> None:
    """The middle of an image with the wanted aspect; a constant stays constant, a half stays a half."""
    image = torch.cat([torch.full((1, 3, 16, 8), -1.0), torch.full((1, 3, 16, 8), 1.0)], dim=3)
    small = sampling.fitted(image, 4, 4)
    assert small.shape == (1, 3, 4, 4)
    assert (small[..., 0] < -0.9).all()
    assert (small[..., 3] > 0.9).all()
    assert torch.equal(sampling.fitted(image, 16, 16), image)
    narrow = sampling.fitted(image, 8, 4)  # columns 4 to 11 are kept
    assert narrow.shape == (1, 3, 8, 4)
    torch.testing.assert_close(narrow.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    assert torch.allclose(sampling.fitted(torch.full((1, 3, 16, 16), 0.3), 5, 5), torch.tensor(0.3))

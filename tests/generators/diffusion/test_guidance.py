"""Guidance of a sampler: closed forms for Gaussian data, and the sampler's bytes without it."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler, StableDiffusionPipeline
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.generators.diffusion import sampling
from synthood.generators.diffusion.conditions import Conditions
from synthood.generators.diffusion.guidance import Step, alpha_bars_of, in_bounds, predicted_clean, uphill
from synthood.generators.diffusion.miniature import NOISE_SCHEDULE
from synthood.generators.diffusion.samplers.dpm_solver import StableDiffusionSample
from toy_checkpoints import stable_diffusion_1

SIDE = 2
MEAN, VARIANCE = 0.5, 0.25
SAMPLE = StableDiffusionSample(steps=12, guidance=1.0, batch_size=4)


class GaussianDenoiser(torch.nn.Module):
    """The exact noise of data N(m, v I): x_0 = m + sqrt(a) v (x - sqrt(a) m) / (a v + 1 - a)."""

    def __init__(self, alpha_bar: Tensor) -> None:
        super().__init__()
        self.alpha_bar, self.dtype = alpha_bar, torch.float32
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.config = SimpleNamespace(in_channels=4, sample_size=SIDE, time_cond_proj_dim=None)

    def forward(self, noisy: Tensor, time: Tensor, **_: Any) -> Any:
        a = self.alpha_bar[int(time)]
        return SimpleNamespace(sample=(1 - a).sqrt() * (noisy - a.sqrt() * MEAN) / (a * VARIANCE + 1 - a))


def gaussian() -> StableDiffusionPipeline:
    """A pipeline as far as the sampler looks at it."""
    scheduler = PNDMScheduler(**NOISE_SCHEDULE, skip_prk_steps=True, steps_offset=1)
    return cast(
        StableDiffusionPipeline,
        SimpleNamespace(
            unet=GaussianDenoiser(scheduler.alphas_cumprod),
            scheduler=scheduler,
            device=torch.device("cpu"),
            vae_scale_factor=8,
            prepare_extra_step_kwargs=lambda *_: {},
        ),
    )


@dataclass(frozen=True)
class Tilt:
    """An objective of clean latents; `share` of the steps, from the first on."""

    direction: Tensor
    scale: float
    curvature: float = 0.0
    share: float = 1.0
    longest: float = 100.0

    def acts(self, number: int, steps: int) -> bool:
        return self.scale > 0 and number < round(self.share * steps)

    def shift(self, step: Step) -> Tensor:
        return uphill(step, self.objective)

    def objective(self, clean: Tensor) -> Tensor:
        flat = clean.flatten(1)
        return self.scale * (flat @ self.direction - self.curvature * flat.square().sum(1) / 2)

    def __str__(self) -> str:
        return f"tilt {self.scale:g}"


def direction() -> Tensor:
    return torch.randn(4 * SIDE**2, generator=torch.Generator().manual_seed(1))


def drawn(guidance: Tilt | None = None, seeds: tuple[int, ...] = (3, 4, 5)) -> Tensor:
    pipeline = gaussian()
    nothing = Conditions(torch.zeros(1, 1, 1), torch.zeros(len(seeds), dtype=torch.int64), torch.zeros(1, 1, 1))
    return sampling.denoised(pipeline, nothing, list(seeds), SAMPLE, guidance=guidance)


def test_of_gaussian_data_a_linear_objective_moves_every_sample_along_its_gradient() -> None:
    """The denoiser, the sampler and the objective are linear, so the move is s K c with one K for all samples."""
    c, free = direction(), drawn()
    once, twice = (drawn(Tilt(c, scale)) - free for scale in (0.1, 0.2))
    torch.testing.assert_close(twice, 2 * once, rtol=1e-3, atol=1e-4)
    along = once.flatten(1) @ c / c.square().sum()
    assert float(along[0]) > 0
    torch.testing.assert_close(once.flatten(1), along[0] * c.expand(3, -1), rtol=1e-3, atol=1e-4)


def test_the_move_of_a_single_step_by_hand() -> None:
    """x_0 = J x + const with J = sqrt(a) v / (a v + 1 - a), so g_t = J c, g_0 = c."""
    c = direction()
    alpha_bar = [0.2, 0.6, 1.0]
    noisy = torch.randn((2, 4, SIDE, SIDE), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    noisy.requires_grad_()
    a = alpha_bar[0]
    jacobian = a**0.5 * VARIANCE / (a * VARIANCE + 1 - a)
    clean = MEAN + jacobian * (noisy - a**0.5 * MEAN)
    found = uphill(Step(noisy, clean, 0, alpha_bar), Tilt(c.double(), 3.0).objective)
    ratio = 0.2 / 0.6
    rate = ratio * 2 / (ratio + 0.6)
    expected = 3 * rate * (jacobian / ratio**0.5 + 0.6**0.5) * c.double()
    torch.testing.assert_close(found.flatten(1), expected.expand(2, -1))


def test_of_gaussian_data_and_a_concave_objective_samples_gather_where_its_peak_is() -> None:
    """The peak of c.z - b ||z||^2 / 2 is c / b: nearer with every doubling of the scale."""
    c = direction()
    far = [(drawn(Tilt(c, scale, 0.5)).flatten(1) - c / 0.5).norm(dim=1).mean() for scale in (0.0, 0.1, 0.2, 0.4)]
    assert far == sorted(far, reverse=True)
    assert len(set(far)) == 4


def test_without_scale_or_steps_the_bytes_are_those_without_guidance() -> None:
    free = drawn()
    assert torch.equal(drawn(Tilt(direction(), 0.0)), free)
    assert torch.equal(drawn(Tilt(direction(), 1.0, share=0.01)), free)


def test_each_sample_comes_from_its_seed() -> None:
    three, one = drawn(Tilt(direction(), 0.3)), drawn(Tilt(direction(), 0.3), (4,))
    torch.testing.assert_close(three[1:2], one, rtol=1e-5, atol=1e-6)


def test_a_later_start_guides_less() -> None:
    moves = [(drawn(Tilt(direction(), 0.1, share=share)) - drawn()).norm() for share in (0.25, 0.5, 1.0)]
    assert moves == sorted(moves)
    assert moves[0] > 0


@pytest.mark.parametrize("scale", [50.0, float("inf")])
def test_diverging_guidance_names_the_step_and_the_scale(scale: float) -> None:
    with pytest.raises(
        SynthoodError, match=rf"^image 0: its latents diverge at denoising step 1 of 12: .*tilt {scale:g}"
    ):
        drawn(Tilt(direction(), scale, longest=3.0))


def test_bounds() -> None:
    latents = torch.ones(4, 4, SIDE, SIDE) * torch.tensor([1.0, 3.0, 3.1, float("nan")])[:, None, None, None]
    assert in_bounds(latents, 3.0).tolist() == [True, True, False, False]


@pytest.mark.parametrize("alpha_bar", [0.05, 0.5, 0.99])
def test_clean_latents_of_each_prediction(alpha_bar: float) -> None:
    random = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn((2, 4, 2, 2), generator=random, dtype=torch.float64) for _ in range(2))
    signal, level = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    noisy = signal * clean + level * noise
    outputs = {"epsilon": noise, "sample": clean, "v_prediction": signal * noise - level * clean}
    for kind, predicted in outputs.items():
        torch.testing.assert_close(predicted_clean(kind, noisy, predicted, alpha_bar), clean)


def test_a_scheduler_of_other_latents_is_refused() -> None:
    scheduler = EulerDiscreteScheduler(**NOISE_SCHEDULE)
    scheduler.set_timesteps(4)
    with pytest.raises(SynthoodError, match=r"EulerDiscreteScheduler has not; set `sample\.sampler`"):
        alpha_bars_of(scheduler)


def test_signal_that_is_kept_grows_to_one() -> None:
    scheduler = DPMSolverMultistepScheduler(**NOISE_SCHEDULE)
    scheduler.set_timesteps(10)
    alpha_bar = alpha_bars_of(scheduler)
    assert len(alpha_bar) == 11
    assert alpha_bar == sorted(alpha_bar)
    assert alpha_bar[-1] == 1


def test_a_denoiser_of_weights_gives_the_gradient_through_itself() -> None:
    """Against the objective's change under a small move of the noise, by finite differences."""
    pipeline = stable_diffusion_1()
    pipeline.unet.double().requires_grad_(False)
    random = torch.Generator().manual_seed(0)
    noisy, move = (torch.randn((1, 4, 8, 8), generator=random, dtype=torch.float64) for _ in range(2))
    text, target = (torch.randn(shape, generator=random, dtype=torch.float64) for shape in ((1, 10, 16), (1, 4, 8, 8)))

    def objective(clean: Tensor) -> Tensor:
        return -(clean - target).square().flatten(1).sum(1)

    def clean(x: Tensor) -> Tensor:
        return predicted_clean("epsilon", x, pipeline.unet(x, 500, text).sample, 0.3)

    alpha_bar = [0.3, 1.0]
    x = noisy.clone().requires_grad_()
    point = clean(x)
    of_clean = torch.autograd.grad(objective(point).sum(), point, retain_graph=True)[0]
    of_noisy = (uphill(Step(x, point, 0, alpha_bar), objective) - of_clean) * 0.3**0.5
    with torch.no_grad():
        change = (objective(clean(noisy + 1e-5 * move)) - objective(clean(noisy - 1e-5 * move))) / 2e-5
    torch.testing.assert_close((of_noisy * move).sum(), change[0], rtol=1e-6, atol=0)

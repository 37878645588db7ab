"""Guidance of a sampler's steps by an objective of the clean latents that they predict, without training (TFG)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from synthood.errors import SynthoodError


@dataclass(frozen=True)
class Step:
    """A step of a sampler, number `number` of those in `alpha_bars`, which has one value more.

    noisy float32 [B,4,h,w] are its latents x_t, clean [B,4,h,w] the x_0 that the denoiser predicts of them, with the
    graph between the two; alpha_bars are the signal's shares of the variance at each step and, 1, at the end.
    """

    noisy: Tensor
    clean: Tensor
    number: int
    alpha_bars: list[float]


class Guidance(Protocol):
    """A term that is added to the latents after some of a sampler's steps; its `str` names its scales in errors."""

    @property
    def longest(self) -> float:
        """Length of latents, in lengths of noise, beyond which they have diverged."""

    def acts(self, number: int, steps: int) -> bool:
        """Whether it acts on step `number` of so many; others need no gradient."""

    def shift(self, step: Step) -> Tensor:
        """What is added to the latents [B,4,h,w] that the step leads to."""


def alpha_bars_of(scheduler: Any) -> list[float]:
    """Shares of the signal's variance at every time step of a scheduler, and 1 at the end.

    Raises SynthoodError for a scheduler whose latents are no mixture of signal and noise of variance one.
    """
    if float(scheduler.init_noise_sigma) != 1:
        raise SynthoodError(
            f"guidance needs latents whose noise has variance one, which {type(scheduler).__name__} has not; "
            f"set `sample.sampler` to fast or paper"
        )
    return [*(float(scheduler.alphas_cumprod[int(time)]) for time in scheduler.timesteps.tolist()), 1.0]


def predicted_clean(prediction: str, noisy: Tensor, predicted: Tensor, alpha_bar: float) -> Tensor:
    """x_0 [B,4,h,w] of noisy latents and what the denoiser says of them: `epsilon`, `v_prediction` or `sample`."""
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    if prediction == "sample":
        return predicted
    if prediction == "v_prediction":
        return signal * noisy - noise * predicted
    return (noisy - noise * predicted) / signal


def uphill(step: Step, objective: Callable[[Tensor], Tensor]) -> Tensor:
    """r (g_t / sqrt(a_t / a_s) + sqrt(a_s) g_0): g the gradients of objectives [B] for x_t and for x_0.

    a is the step's alpha bar, of the step from t to s; r = a_t / a_s over its mean of all steps. One backward pass
    gives both gradients (arXiv 2409.15761 with one iteration and both scales alike).
    """
    ratios = [now / then for now, then in zip(step.alpha_bars, step.alpha_bars[1:], strict=False)]
    ratio, then = ratios[step.number], step.alpha_bars[step.number + 1]
    of_noisy, of_clean = torch.autograd.grad(objective(step.clean).sum(), (step.noisy, step.clean))
    rate = ratio * len(ratios) / sum(ratios)
    return rate * (of_noisy / ratio**0.5 + then**0.5 * of_clean)


def in_bounds(latents: Tensor, longest: float) -> Tensor:
    """Which latents [B,4,h,w] are finite and no longer than so many lengths of noise, bool [B]."""
    return latents.flatten(1).norm(dim=1) <= longest * latents[0].numel() ** 0.5

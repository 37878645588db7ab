"""ODIN and iODIN: softmax at a temperature, after a step of the image towards the predicted class."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Positive
from synthood.evaluation.detectors.base import Grids
from synthood.evaluation.detectors.of_model.base import ModelMethod, Noise, OfGradients
from synthood.evaluation.hyperparameters import GRID, Values
from synthood.evaluation.probe import BatchView, ForwardRun


class OdinMethod(ModelMethod):
    """max softmax(f(x~) / T), x~ = x + eps sign(grad log softmax_y(f(x) / T)), y the prediction (arXiv 1706.02690).

    eps is in units of pixels in [0,1]. A gradient of zero moves nothing, where OpenOOD moves by -eps. For all grids
    one gradient per temperature and one pass per candidate.
    """

    pass_params = ("temperature", "noise")

    def statistic(self, batch: BatchView, values: Values) -> Tensor:
        temperature = values["temperature"]

        def objective(run: ForwardRun) -> Tensor:
            return (run.logits / temperature).log_softmax(1).amax(1)

        gradient = batch.gradient(batch.attached, ("odin", temperature), objective)
        step = self.step(gradient) / self.probe.deviation
        with torch.no_grad():
            moved = self.probe.run(batch.inputs + values["noise"] * step)
        return likeliest(moved.logits, temperature)

    def step(self, gradient: Tensor) -> Tensor:
        return gradient.sign()


class IodinMethod(OdinMethod):
    """ODIN that moves one value of one channel alone: where the gradient is largest in size (OpenOOD's iODIN)."""

    def step(self, gradient: Tensor) -> Tensor:
        flat = gradient.flatten(1)
        place = flat.abs().argmax(1, keepdim=True)
        return torch.zeros_like(flat).scatter_(1, place, flat.gather(1, place).sign()).view_as(gradient)


def likeliest(logits: Tensor, temperature: float) -> Tensor:
    """T (log odds of max softmax(l / T) + log(C - 1)), float32 [N] on the CPU.

    The order of the maximum itself, which float32 would round: near 1 / C at a high temperature, near 1 at a low one.
    """
    ordered = (logits.double() / temperature).sort(1, descending=True).values
    rest = ordered[:, 1:].logsumexp(1) - math.log(logits.shape[1] - 1)
    return (temperature * (ordered[:, 0] - rest)).float().cpu()


class Perturbed(OfGradients):
    """Softmax at a temperature after a step of the image."""

    temperature: Annotated[Positive, GRID, Field(description="divides the logits")] = 1000.0
    noise: Noise = 0.0014

    grid: ClassVar[Grids] = {"temperature": [1.0, 10.0, 100.0, 1000.0], "noise": [0.0014, 0.0028]}


class Odin(Perturbed):
    """Softmax at a temperature after a step towards the predicted class."""

    kind: Literal["odin"] = "odin"

    paper = "arXiv 1706.02690"
    compared = "equal in order, given norm_std"
    method = OdinMethod


class Iodin(Perturbed):
    """ODIN with the step at the one value of the image whose gradient is largest."""

    kind: Literal["iodin"] = "iodin"

    paper = "OpenOOD's iODIN, 2023"
    method = IodinMethod

"""ODIN and iODIN: softmax at a temperature, after a step of the image towards the predicted class."""

import math

import torch
from torch import Tensor

from synthood.evaluation.access.method import ModelMethod
from synthood.evaluation.access.view import Look, Run
from synthood.evaluation.hyperparameters import Values


class Odin(ModelMethod):
    """max softmax(f(x~) / T), x~ = x + eps sign(grad log softmax_y(f(x) / T)), y the prediction (arXiv 1706.02690).

    eps is in units of pixels in [0,1]. A gradient of zero moves nothing, where OpenOOD moves by -eps. For all grids
    one gradient per temperature and one pass per candidate.
    """

    passed = ("temperature", "noise")

    def evidence(self, look: Look, values: Values) -> Tensor:
        temperature = values["temperature"]

        def objective(run: Run) -> Tensor:
            return (run.logits / temperature).log_softmax(1).amax(1)

        gradient = look.gradient(look.attached, ("odin", temperature), objective)
        step = self.step(gradient) / self.view.deviation
        with torch.no_grad():
            moved = self.view.run(look.inputs + values["noise"] * step)
        return likeliest(moved.logits, temperature)

    def step(self, gradient: Tensor) -> Tensor:
        return gradient.sign()


class Iodin(Odin):
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

"""Gram matrices of maps against their range over the training images of the predicted class."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Count
from synthood.evaluation.detectors.base import State
from synthood.evaluation.detectors.of_model.base import ModelMethod, OfMaps, Scorer, in_order
from synthood.evaluation.hyperparameters import GRID, Values
from synthood.evaluation.probe import BatchView, ForwardRun, Probe

SMALL = 1e-6
"""Added to the size of a bound, as in the paper's code."""


class GramMethod(ModelMethod):
    """-sum_l delta_l / E[delta_l] (arXiv 1912.12510, equations 4 to 6), with row sums of Gram matrices as there.

    delta_l sums, over channels and powers, how far a row sum lies outside of its range over the training images that
    were predicted as the same class, in units of the bound. Nothing is kept but ranges: per class, layer, channel and
    power. Layers are the convolutions' and the blocks' outputs; the expectation is over ID validation images, and 1
    for a layer where none deviates. A class that was never predicted has the range of all of them.
    """

    needs_train = True
    needs_val = True
    pass_params = ("powers",)

    def __init__(self, probe: Probe, candidates: list[Values]) -> None:
        super().__init__(probe, candidates)
        self.highest = max(values["powers"] for values in candidates)
        self.low: list[Tensor] = []
        self.high: list[Tensor] = []

    def statistics(self, run: ForwardRun) -> list[Tensor]:
        """Row sums [N,P,c] by layer."""
        return [row_sums(each, self.highest) for each in (*run.convolved, *run.maps)]

    def observe(self, batch: BatchView, labels: Tensor) -> None:
        run = batch.mapped
        predicted, found = run.logits.argmax(1), self.statistics(run)
        if not self.low:
            self.low = [x.new_full((self.probe.classes, *x.shape[1:]), torch.inf) for x in found]
            self.high = [x.new_full((self.probe.classes, *x.shape[1:]), -torch.inf) for x in found]
        for x, low, high in zip(found, self.low, self.high, strict=True):
            index = predicted.view(-1, 1, 1).expand_as(x)
            low.scatter_reduce_(0, index, x, "amin")
            high.scatter_reduce_(0, index, x, "amax")

    def observed(self) -> None:
        for low, high in zip(self.low, self.high, strict=True):
            low.copy_(torch.where(low.isinf(), low.amin(0, keepdim=True), low))
            high.copy_(torch.where(high.isinf(), high.amax(0, keepdim=True), high))

    def statistic(self, batch: BatchView, values: Values) -> Tensor:
        """Deviations [N,L]."""
        run = batch.mapped
        predicted, powers = run.logits.argmax(1), values["powers"]
        deviations = []
        for x, low, high in zip(self.statistics(run), self.low, self.high, strict=True):
            below, above = low[predicted] - x, x - high[predicted]
            outside = below.relu() / (low[predicted].abs() + SMALL) + above.relu() / (high[predicted].abs() + SMALL)
            deviations.append(outside[:, :powers].sum((1, 2)))
        return torch.stack(deviations, 1).cpu()

    def learned(self) -> State:
        ranges = enumerate(zip(self.low, self.high, strict=True))
        return {f"{name}.{i}": x for i, pair in ranges for name, x in zip(("low", "high"), pair, strict=True)}

    def restore(self, state: State) -> None:
        device = self.probe.device
        self.low, self.high = ([x.to(device) for x in in_order(state, name)] for name in ("low", "high"))

    def state(self, values: Values, inside: Tensor | None, outside: Tensor | None) -> State:
        assert inside is not None
        expected = inside.mean(0)
        return {"expected": expected.where(expected > 0, 1)}

    def scorer(self, values: Values, state: State) -> Scorer:
        expected = state["expected"]
        return lambda evidence: -(evidence / expected).sum(1)


def row_sums(maps: Tensor, highest: int) -> Tensor:
    """sum_j (F^p F^pT)^(1/p)_ij of maps F [N,c,h,w] as [N,P,c], p from 1 to P; roots keep their sign.

    A row's sum is F_i^p times the sum of all F_j^p, so no matrix is made; each map is scaled to 1 first, which keeps
    high powers in float32's range.
    """
    flat = maps.flatten(2)
    size = flat.abs().amax((1, 2), keepdim=True)
    unit = flat / size.where(size > 0, 1)
    power, rows = torch.ones_like(unit), []
    for p in range(1, highest + 1):
        power = power * unit
        sums = (power @ power.sum(1).unsqueeze(2)).squeeze(2)
        rows.append(sums.sign() * sums.abs() ** (1 / p))
    return torch.stack(rows, 1) * size.square()


class Gram(OfMaps):
    """Minus the deviation of Gram matrices from the range of the predicted class."""

    kind: Literal["gram"] = "gram"
    powers: Annotated[Count, GRID, Field(description="matrices of the order 1 to this")] = 5

    paper = "arXiv 1912.12510"
    compared = "equal with labels for predictions, without V"
    method = GramMethod

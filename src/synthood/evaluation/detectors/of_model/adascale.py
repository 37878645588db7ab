"""AdaSCALE: features scaled more the less a small step of the image shifts them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, torch
from synthood.common.settings import Fraction
from synthood.evaluation.detectors.base import Grids, State
from synthood.evaluation.detectors.of_model.base import ModelMethod, OfGradients, Percent, Scorer
from synthood.evaluation.hyperparameters import GRID, OutOfRangeError, Values
from synthood.evaluation.probe import BatchView

STEP = 0.5
"""Of the normalised input, as in the paper's code."""


class AdaScaleMethod(ModelMethod):
    """Energy of W h exp(r) + b (a) or r^2 (W h + b) (l), r = sum h / sum of the largest h (arXiv 2503.08023).

    How many are large is a percentile of each sample's own: low + (1 - F(Q)) (high - low), F the distribution over ID
    validation images of Q = sum of relu(h~) over the strongest + lambda sum of |h~ - h| over the very strongest. h~
    are the features after a step along the sign of the predicted logit's gradient, at the values of the image where
    it is smallest. One gradient and one pass serve all candidates but those of `pixels`.
    """

    needs_val = True
    pass_params = ("pixels",)

    def statistic(self, batch: BatchView, values: Values) -> Tensor:
        """h and h~, joined [N,2D]."""
        gradient = batch.gradient(batch.attached, ("largest logit",), lambda run: run.logits.amax(1))
        flat = gradient.flatten(1)
        places = flat.abs().topk(int(values["pixels"] * flat.shape[1]), largest=False).indices
        moves = torch.zeros_like(flat).scatter_(1, places, flat.gather(1, places).sign()).view_as(gradient)
        with torch.no_grad():
            moved = self.probe.features(batch.inputs + STEP * moves)
        return torch.cat([batch.attached.features.detach(), moved], 1).float().cpu()

    def state(self, values: Values, inside: Tensor | None, outside: Tensor | None) -> State:
        low, high = values["low"], values["high"]
        if low >= high:
            raise OutOfRangeError(f"adascale: low {low:g} is not below high {high:g}; set them in detectors")
        assert inside is not None
        return {"known": shift(inside, values).sort().values}

    def scorer(self, values: Values, state: State) -> Scorer:
        low, high, known = values["low"], values["high"], state["known"]
        weight, bias = (None if x is None else x.float().cpu() for x in (self.probe.head.weight, self.probe.head.bias))

        def confidence(evidence: Tensor) -> Tensor:
            h = evidence.chunk(2, 1)[0]
            share = 1 - torch.searchsorted(known, shift(evidence, values), right=True) / len(known)
            r = ratio(h.relu(), low + share * (high - low))
            if values["variant"] == "l":
                return (r.square() * F.linear(h, weight, bias)).logsumexp(1)
            return F.linear(h * r.exp(), weight, bias).logsumexp(1)

        return confidence


def shift(evidence: Tensor, values: Values) -> Tensor:
    """Q [N]; at least one feature counts in each sum, where OpenOOD's code has none of fewer than a hundred."""
    h, moved = evidence.chunk(2, 1)
    strongest, shifting = (max(1, int(h.shape[1] * values[key] / 100)) for key in ("strongest", "shifting"))
    height = moved.relu().gather(1, h.topk(strongest).indices).sum(1)
    change = (moved - h).abs().gather(1, h.topk(shifting).indices).sum(1)
    return height + values["shift_weight"] * change


def ratio(h: Tensor, percentiles: Tensor) -> Tensor:
    """Sum of non-negative features [N,D] over the sum of those above each sample's percentile [N]: [N,1].

    At least one is above; 1 for a sample without any activation.
    """
    width = h.shape[1]
    kept = (width - (width * percentiles / 100).round()).clamp(min=1)
    ordered = h.sort(1, descending=True).values
    largest = (ordered * (torch.arange(width) < kept[:, None])).sum(1, keepdim=True)
    return (h.sum(1, keepdim=True) / largest.where(largest > 0, 1)).where(largest > 0, 1)


class AdaScale(OfGradients):
    """Energy scaled by a percentile of each sample's own, from how a step shifts its features."""

    kind: Literal["adascale"] = "adascale"
    variant: Annotated[Literal["a", "l"], GRID, Field(description="a: scales features; l: logits")] = "a"
    low: Annotated[Percent, Field(description="percentile of the most shifted")] = 75.0
    high: Annotated[Percent, Field(description="percentile of the least shifted")] = 85.0
    strongest: Annotated[Percent, Field(description="% of features whose shifted values count")] = 5.0
    shifting: Annotated[Percent, Field(description="% of features whose shifts count")] = 1.0
    shift_weight: Annotated[float, Field(ge=0), GRID, Field(description="lambda of the sum of shifts")] = 10.0
    pixels: Annotated[Fraction, Field(gt=0), GRID, Field(description="share of the image's values that are moved")] = (
        0.05
    )

    paper = "arXiv 2503.08023"
    grid: ClassVar[Grids] = {
        "low": [60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0],
        "high": [65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 99.0],
    }
    method = AdaScaleMethod

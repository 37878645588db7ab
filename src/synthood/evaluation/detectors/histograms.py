"""Detectors that count: in which bins a sample's values fall, and where those of training data fell."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, torch
from synthood.common.seeds import generator
from synthood.common.settings import Count, Positive
from synthood.evaluation.detectors.base import GRID, Detector, Score, State
from synthood.evaluation.features import Features, Reference, parts

VALUES = 1 << 24
"""Perturbed logits that are held at once."""
FLOORS = (0.01, 0.025)
"""What is added to a bin of a sample's features and of its perturbed logits, as in the released code."""


class WeiPer(Detector):
    """Divergences of the histograms of features and of randomly perturbed logits.

    -(D(features) + `logits` D(perturbed logits) - `msp` max_c p_c averaged over perturbations).

    D is the symmetric divergence of a sample's smoothed histogram from the mean one of training data. A perturbation
    adds to each class's weights a random direction of `distance` times their length; directions come from a fixed seed.
    """

    kind: Literal["weiper"] = "weiper"
    distance: Annotated[Positive, GRID, Field(description="length of a perturbation over its weights'")] = 2.1
    repeats: Annotated[Count, GRID, Field(description="random perturbations of the last layer's weights")] = 100
    bins: Annotated[Count, GRID, Field(description="of each histogram")] = 100
    smoothing: Annotated[Count, GRID, Field(description="bins that a histogram is averaged over")] = 20
    logits: Annotated[float, Field(ge=0), GRID, Field(description="weight of the logits' divergence")] = 1.0
    msp: Annotated[float, Field(ge=0), GRID, Field(description="weight of the mean probability")] = 1.0

    paper = "arXiv 2405.17164"
    inputs = ("features", "head")
    fitted_on = ("train",)

    def state(self, reference: Reference) -> State:
        classes, width = reference.weight.shape
        noise = torch.randn((self.repeats, classes, width), generator=generator("weiper", self.repeats)).to(
            reference.weight.device
        )
        noise = F.normalize(noise, dim=2) * self.distance * reference.weight.norm(dim=1, keepdim=True)
        weights, bias = (reference.weight + noise).flatten(0, 1), reference.bias.repeat(self.repeats)
        train = reference.train.features
        pieces = train.split(rows_at_once(weights))

        def perturbed(features: Tensor) -> Tensor:
            return F.linear(features, weights, bias)

        spans = [
            span([torch.stack(torch.aminmax(make(p))) for p in pieces]) for make in (torch.Tensor.float, perturbed)
        ]
        means = [
            torch.stack([histogram(make(p), self.bins, *bounds).sum(0) for p in pieces]).sum(0) / len(train)
            for make, bounds in zip((torch.Tensor.float, perturbed), spans, strict=True)
        ]
        # Random directions are part of the state, since generators differ between versions and processors
        return {
            "weights": weights,
            "bias": bias,
            "spans": torch.tensor(spans, dtype=torch.float64),
            "means": torch.stack(means),
        }

    def scorer(self, state: State) -> Score:
        weights, bias, means, spans = state["weights"], state["bias"], state["means"], state["spans"].tolist()

        def score(features: Tensor) -> Tensor:
            values = F.linear(features, weights, bias)
            sure = values.unflatten(1, (self.repeats, -1)).softmax(2).amax(2).mean(1)
            own, other = (
                divergence(mean, smoothed(histogram(x, self.bins, *bounds), self.smoothing), floor)
                for mean, x, bounds, floor in zip(means, (features, values), spans, FLOORS, strict=True)
            )
            return self.msp * sure - own - self.logits * other

        return Score(lambda x: score(x.features), rows_at_once(weights))


class Nac(Detector):
    """Mean coverage of the units' states by training data.

    Mean over units of min(1, n / `enough`), n training samples in the bin of the unit's state.

    The state is sigmoid(`steepness` h_d g_d), g the gradient in h of KL(uniform || p): W^T (p - 1 / C), so no backward
    pass is needed for the penultimate layer, the only one that features hold.
    """

    kind: Literal["nac"] = "nac"
    bins: Annotated[Count, GRID, Field(description="of each unit's histogram of states")] = 50
    steepness: Annotated[Positive, GRID, Field(description="of the sigmoid over the states")] = 100.0
    enough: Annotated[Positive, GRID, Field(description="training samples at which a bin is covered")] = 50.0

    paper = "arXiv 2306.02879"
    compared = "several layers by gradients; here the penultimate one"
    inputs = ("logits", "features", "head")
    fitted_on = ("train",)

    def cells(self, x: Features, weight: Tensor) -> Tensor:
        """In which bin of all units' bins [N,D] each unit's state falls."""
        gradient = (x.logits.softmax(1) - 1 / len(weight)) @ weight
        states = (self.steepness * x.features * gradient).sigmoid()
        offsets = torch.arange(weight.shape[1], device=weight.device) * self.bins
        return (states * self.bins).long().clamp(max=self.bins - 1) + offsets

    def state(self, reference: Reference) -> State:
        weight, bins = reference.weight, reference.weight.shape[1] * self.bins
        counts = torch.zeros(bins, dtype=torch.int64, device=weight.device)
        for rows in parts(reference.train):
            counts += torch.bincount(self.cells(rows, weight).flatten(), minlength=bins)
        return {"weight": weight, "coverage": (counts / self.enough).clamp(max=1.0)}

    def confidence(self, x: Features, state: State) -> Tensor:
        return state["coverage"][self.cells(x, state["weight"])].mean(1)


def rows_at_once(weights: Tensor) -> int:
    """Samples whose perturbed logits are held at once."""
    return max(1, VALUES // len(weights))


def histogram(values: Tensor, bins: int, low: float, high: float) -> Tensor:
    """Shares [N,bins] of each row's values in bins of equal width; values beyond the ends count at the ends."""
    position = ((values - low) * (bins / (high - low))).long().clamp(0, bins - 1)
    counts = values.new_zeros((values.shape[0], bins))
    return counts.scatter_add_(1, position, torch.ones_like(values)) / values.shape[1]


def smoothed(shares: Tensor, size: int) -> Tensor:
    """Each bin as the mean of `size` bins around it, nothing beyond the ends."""
    padded = F.pad(shares, ((size - 1) // 2, size // 2))
    return F.avg_pool1d(padded[:, None], size, stride=1)[:, 0]


def divergence(mean: Tensor, shares: Tensor, floor: float) -> Tensor:
    """KL(p || q) + KL(q || p) of the mean [bins] and each row [N,bins], after `floor` is added to every bin."""
    p, q = (mean + floor) / (mean + floor).sum(), (shares + floor) / (shares + floor).sum(1, keepdim=True)
    return ((p - q) * (p.log() - q.log())).sum(1)


def span(ends: list[Tensor]) -> tuple[float, float]:
    """Smallest and largest of several, a little apart where they are equal."""
    low, high = (float(end) for end in torch.stack(ends).aminmax())
    return low, max(high, low + 1e-6 * max(1.0, abs(low)))

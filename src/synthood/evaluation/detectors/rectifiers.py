"""Detectors that change features, weights or logits first, and then take any score of logits."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.largest import largest_values
from synthood.common.lazy import Tensor, torch
from synthood.common.settings import PERCENT, Fraction
from synthood.evaluation.detectors import logits
from synthood.evaluation.detectors.base import (
    GRID,
    Detector,
    Grids,
    OutOfRangeError,
    Score,
    State,
    at_percentile,
    head_logits,
    head_state,
)
from synthood.evaluation.features import Features, Reference, parts
from synthood.plugins import Kind, Plugin, plugins_of

Percentile = Annotated[float, Field(gt=0, le=100), PERCENT]
Pruned = Annotated[float, Field(ge=0, lt=100), PERCENT]
LOGIT_DETECTORS = plugins_of(Detector, logits)
LARGEST = 80.0
"""Of a ratio whose exp is taken; that of 89 is beyond float32."""
INNER = "score."
"""Before the names of the inner detector's state."""


class Rectifier(Detector):
    """Changes the features, then scores the new logits; `score` is any logit detector with its defaults."""

    score: Annotated[
        str, Kind(LOGIT_DETECTORS), GRID, Field(description="logit detector that scores the new logits")
    ] = "energy"

    def uses(self) -> list[type[Plugin]]:
        return [LOGIT_DETECTORS[name] for name in (self.score if isinstance(self.score, list) else [self.score])]

    def change(self, x: Features, state: State) -> Tensor:
        """The new logits [N,C], given what `bounds` found."""
        raise NotImplementedError

    def bounds(self, reference: Reference) -> State:
        """What `change` takes from ID features."""
        return head_state(reference)

    @property
    def inner(self) -> Detector:
        """The detector of the new logits."""
        return LOGIT_DETECTORS[self.score].model_validate({"kind": self.score})

    def state(self, reference: Reference) -> State:
        """Also that of the inner detector, fitted on reference data changed alike."""
        own, inner = self.bounds(reference), self.inner
        if "val" in inner.fitted_on:
            reference = replace(reference, val=replace(reference.val, logits=self.change(reference.val, own)))
        if "train" in inner.fitted_on:
            logits = torch.cat([self.change(rows, own) for rows in parts(reference.train)])
            reference = replace(reference, train=replace(reference.train, logits=logits))
        return own | {f"{INNER}{name}": value for name, value in inner.state(reference).items()}

    def scorer(self, state: State) -> Score:
        inner = self.inner.scorer({k.removeprefix(INNER): v for k, v in state.items() if k.startswith(INNER)})
        return Score(lambda x: inner(replace(x, logits=self.change(x, state))))


class React(Rectifier):
    """Energy after features are clipped at a percentile of ID validation activations.

    Logits of min(h, c), c a percentile of all ID validation activations (equation 5).
    """

    kind: Literal["react"] = "react"
    percentile: Annotated[
        Percentile,
        GRID,
        Field(description="% of ID validation activations below the bound that features are clipped at"),
    ] = 90.0

    paper = "arXiv 2111.12797"
    compared = "equal, fitted on V"
    inputs = ("features", "head")
    fitted_on = ("val",)
    grid: ClassVar[Grids] = {"percentile": [85.0, 90.0, 95.0, 99.0]}

    def bounds(self, reference: Reference) -> State:
        return head_state(reference) | {"bound": at_percentile(reference.val.features, self.percentile)}

    def change(self, x: Features, state: State) -> Tensor:
        return head_logits(x.features.clamp(max=state["bound"]), state)


class Vra(Rectifier):
    """Energy after features are clipped at two percentiles of ID validation activations.

    Logits of h between two percentiles of all ID validation activations.

    One pair of bounds for all units, as OpenOOD has it; pytorch-ood fits a pair per unit.
    """

    kind: Literal["vra"] = "vra"
    low: Annotated[
        Pruned, GRID, Field(description="percentile of ID validation activations that features are raised to")
    ] = 10.0
    high: Annotated[
        Percentile, GRID, Field(description="percentile of ID validation activations that features are clipped at")
    ] = 90.0

    paper = "arXiv 2302.11716"
    compared = "bounds per unit, here one pair"
    inputs = ("features", "head")
    fitted_on = ("val",)
    grid: ClassVar[Grids] = {"low": [1.0, 5.0, 10.0, 15.0], "high": [85.0, 90.0, 95.0, 99.0]}

    def bounds(self, reference: Reference) -> State:
        if self.low >= self.high:
            raise OutOfRangeError(f"vra: low {self.low:g} is not below high {self.high:g}; set them in detectors")
        least, most = (at_percentile(reference.val.features, p) for p in (self.low, self.high))
        return head_state(reference) | {"least": least, "most": most}

    def change(self, x: Features, state: State) -> Tensor:
        return head_logits(x.features.clamp(state["least"], state["most"]), state)


class Ash(Rectifier):
    """Energy of the largest features: as they are (p), evened (b) or scaled (s).

    Logits of a sample's largest features: kept (p), set to sum(h) / k (b), or times exp(s1 / s2) (s).

    s1 sums all features, s2 the k largest. Pooled features, so the default is
    OpenOOD's; pytorch-ood prunes 65 % and scales (s). Meant for features of a ReLU, where s1 >= s2 > 0.
    """

    kind: Literal["ash"] = "ash"
    variant: Annotated[
        Literal["b", "p", "s"],
        GRID,
        Field(description="p: the largest features as they are; b: all set to one value; s: scaled"),
    ] = "b"
    percentile: Annotated[Pruned, GRID, Field(description="of a sample's features that are set to zero")] = 90.0

    paper = "arXiv 2209.09858"
    compared = "equal; default s, 65"
    inputs = ("features", "head")
    grid: ClassVar[Grids] = {"percentile": [65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0]}
    of_rectified = True

    def change(self, x: Features, state: State) -> Tensor:
        h = x.features
        keep = kept(h.shape[1], self.percentile)
        largest = largest_values(h, keep)
        values = h
        if self.variant == "b":
            values = (h.sum(1, keepdim=True) / keep).expand_as(h)
        elif self.variant == "s":
            values = h * factor(h, largest)
        return head_logits(values.where(among_largest(h, largest), 0), state)


class Scale(Rectifier):
    """Energy of features scaled by how much of their sum the largest hold.

    Logits of h exp(s1 / s2), s1 the sum of all features and s2 of the largest. Meant for features of a ReLU, where
    s1 >= s2 > 0.
    """

    kind: Literal["scale"] = "scale"
    percentile: Annotated[
        Pruned, GRID, Field(description="% of a sample's features that do not count as the largest")
    ] = 85.0

    paper = "arXiv 2310.00227"
    compared = "equal"
    inputs = ("features", "head")
    grid: ClassVar[Grids] = {"percentile": [65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0]}
    of_rectified = True

    def change(self, x: Features, state: State) -> Tensor:
        h = x.features
        largest = largest_values(h, kept(h.shape[1], self.percentile))
        return head_logits(h * factor(h, largest), state)


class Lts(Rectifier):
    """Energy of logits scaled by how much of the features' sum the largest hold.

    l (s1 / s2)^2, s1 the sum of all features and s2 of the largest. Meant for features of a ReLU: what is below zero
    counts as zero.
    """

    kind: Literal["lts"] = "lts"
    share: Annotated[Fraction, GRID, Field(description="of the features that are large")] = 0.05

    paper = "arXiv 2409.01175"
    compared = "equal"
    inputs = ("logits", "features")
    of_rectified = True

    def bounds(self, reference: Reference) -> State:
        return {}

    def change(self, x: Features, state: State) -> Tensor:
        h = x.features.relu()
        largest = largest_values(h, kept(h.shape[1], 100 * (1 - self.share)))
        return x.logits * ratio(h, largest).square()


class Dice(Rectifier):
    """Energy with the head's largest mean contributions alone.

    Logits with the weights whose mean contribution W_cd mean(h_d) is above a percentile.
    """

    kind: Literal["dice"] = "dice"
    percentile: Annotated[
        Pruned,
        GRID,
        Field(description="% of the weights, those of the smallest mean contribution, that are set to zero"),
    ] = 90.0

    paper = "arXiv 2111.09805"
    compared = "equal"
    inputs = ("features", "head")
    fitted_on = ("train",)

    def bounds(self, reference: Reference) -> State:
        contribution = reference.weight * reference.moments.mean.float()
        sparse = reference.weight * (contribution > at_percentile(contribution, self.percentile))
        return {"weight": sparse, "bias": reference.bias}

    def change(self, x: Features, state: State) -> Tensor:
        return head_logits(x.features, state)


def among_largest(rows: Tensor, largest: Tensor) -> Tensor:
    """Which values of rows [N,M] are the k of `largest` [N,k]; of equal ones, those that `topk` takes."""
    count = largest.shape[1]
    if torch.compiler.is_compiling():
        return torch.zeros_like(rows, dtype=torch.bool).scatter_(1, rows.topk(count, sorted=False).indices, True)
    among = rows >= largest.amin(1, keepdim=True)
    if len(tied := (among.sum(1) != count).nonzero()[:, 0]):
        chosen = rows[tied].topk(count, sorted=False).indices
        among[tied] = torch.zeros_like(among[tied]).scatter_(1, chosen, True)
    return among


def kept(width: int, percent: float) -> int:
    """How many of `width` features are not pruned, at least one."""
    return max(1, width - round(width * percent / 100))


def ratio(features: Tensor, largest: Tensor) -> Tensor:
    """Sum of all features over the sum of the largest [N,1]; 1 where the latter is zero, as without any activation."""
    part = largest.sum(1, keepdim=True)
    return (features.sum(1, keepdim=True) / part.where(part != 0, 1)).where(part != 0, 1)


def factor(features: Tensor, largest: Tensor) -> Tensor:
    """exp of the ratio [N,1], finite where negative features all but cancel among the largest."""
    return ratio(features, largest).clamp(max=LARGEST).exp()

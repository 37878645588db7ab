"""Areas under curves over all thresholds; ties count half or share a threshold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import np
from synthood.evaluation.metrics.base import OODMetric
from synthood.evaluation.ordered import Array, Counts, Weighted

TINY = 1e-300
"""In place of 0 where a sample, of weight 0, has no other at its threshold."""
Prevalence = Annotated[
    float | None, Field(gt=0, lt=1, description="share of the positive class; null: that of the images")
]


class Auroc(OODMetric):
    """Probability that an ID image scores above an OOD image."""

    kind: Literal["auroc"] = "auroc"

    title = "AUROC"

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        above = oods.of_first(ids.order.above)
        lost = ids.sum(above + oods.of_first(ids.order.not_below)) / 2 if ids.order.ties else ids.sum(above)
        return (ids.total * oods.total - lost) / (ids.total * oods.total)


class Oscr(OODMetric):
    """Probability that an ID image is classified correctly and scores above an OOD image.

    The area under correct classification rate over false positive rate, by trapezoids: ties count half.
    """

    kind: Literal["oscr"] = "oscr"
    paper = "arXiv 1811.04110, section 4"

    title = "OSCR"
    note = "OSCR: probability that an ID image is classified correctly and scores above an OOD image."

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        not_above = oods.total[:, None] - oods.of_first(ids.order.above)
        below = oods.total[:, None] - oods.of_first(ids.order.not_below)
        return ids.sum(ids.right * (not_above + below)) / (2 * ids.total * oods.total)


class AuprIn(OODMetric):
    """Average precision with ID as the positive class."""

    kind: Literal["aupr_in"] = "aupr_in"
    prevalence: Prevalence = None

    @property
    def title(self) -> str:  # type: ignore[override]  # with its value, where other metrics have a constant
        return titled("AUPR-in", self.prevalence, "ID")

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        reached, also = ids.of_first(ids.order.last + 1), oods.of_first(ids.order.not_below)
        return average_precision(ids, reached, also, oods.total, self.prevalence)


class AuprOut(OODMetric):
    """Average precision with OOD as the positive class."""

    kind: Literal["aupr_out"] = "aupr_out"
    prevalence: Prevalence = None

    @property
    def title(self) -> str:  # type: ignore[override]  # as above
        return titled("AUPR-out", self.prevalence, "OOD")

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        reached, also = oods.of_others(oods.order.first), ids.of_others(oods.order.above)
        return average_precision(oods, reached, also, ids.total, self.prevalence)


def titled(name: str, prevalence: float | None, positive: str) -> str:
    """A heading that states the prevalence, if one is set."""
    return name if prevalence is None else f"{name} at {100 * prevalence:g} % {positive}"


def average_precision(
    positive: Weighted, reached: Counts, also: Counts, negatives: Array, prevalence: float | None = None
) -> Array:
    """Mean over the positive samples of the precision at their threshold, from what is reached there of both classes.

    `reached` and `also` are [B,n], `negatives` the weight [B] of all of the other class. With a prevalence q the
    precision is q TPR / (q TPR + (1 - q) FPR).
    """
    if prevalence is None:
        return positive.sum(reached / np.maximum(reached + also, 1)) / positive.total
    odds = (1 - prevalence) / prevalence * positive.total / negatives
    return positive.sum(reached / np.maximum(reached + odds[:, None] * also, TINY)) / positive.total

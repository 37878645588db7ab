"""Areas under curves over all thresholds; ties count half or share a threshold."""

from __future__ import annotations

from typing import Literal

from synthood.common.lazy import np
from synthood.evaluation.metrics.base import OODMetric
from synthood.evaluation.ordered import Array, Counts, Weighted


class Auroc(OODMetric):
    """Probability that an ID image scores above an OOD image."""

    kind: Literal["auroc"] = "auroc"

    title = "AUROC"

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        above = oods.of_first(ids.order.above)
        lost = ids.sum(above + oods.of_first(ids.order.not_below)) / 2 if ids.order.ties else ids.sum(above)
        return (ids.total * oods.total - lost) / (ids.total * oods.total)


class AuprIn(OODMetric):
    """Average precision with ID as the positive class."""

    kind: Literal["aupr_in"] = "aupr_in"

    title = "AUPR-in"

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        reached, also = ids.of_first(ids.order.last + 1), oods.of_first(ids.order.not_below)
        return average_precision(ids, reached, also)


class AuprOut(OODMetric):
    """Average precision with OOD as the positive class."""

    kind: Literal["aupr_out"] = "aupr_out"

    title = "AUPR-out"

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        reached, also = oods.of_others(oods.order.first), ids.of_others(oods.order.above)
        return average_precision(oods, reached, also)


def average_precision(positive: Weighted, reached: Counts, also: Counts) -> Array:
    """Mean over the positive samples of the share of positives `reached` [B,n] at their threshold among all there."""
    return positive.sum(reached / np.maximum(reached + also, 1)) / positive.total

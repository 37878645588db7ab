"""Rates at the threshold that just reaches a recall."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import np
from synthood.evaluation.metrics.base import OODMetric
from synthood.evaluation.ordered import Array, Weighted

RECALL = 0.95


class Fpr95IDPositive(OODMetric):
    """Share of OOD images accepted at the threshold that accepts 95 % of ID images.

    The highest such threshold; at it or above is accepted.
    """

    kind: Literal["fpr95_id_positive"] = "fpr95_id_positive"

    title = "FPR95, ID positive"
    lower_is_better = True

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        last = np.count_nonzero(ids.first[:, 1:] < needed(ids)[:, None], axis=1)
        return oods.first[np.arange(len(last)), ids.order.not_below[last]] / oods.total


class Fpr95OODPositive(OODMetric):
    """Share of ID images rejected at the threshold that rejects 95 % of OOD images.

    The lowest such threshold; at it or below is rejected.
    """

    kind: Literal["fpr95_ood_positive"] = "fpr95_ood_positive"

    title = "FPR95, OOD positive"
    lower_is_better = True

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        left = oods.first[:, -1] - needed(oods)
        last = np.count_nonzero(oods.first <= left[:, None], axis=1) - 1
        return (ids.total - ids.first[np.arange(len(last)), oods.order.above[last]]) / ids.total


class CcrAtFpr(OODMetric):
    """Share of ID images accepted and classified correctly where at most `fpr` of OOD images are accepted."""

    kind: Literal["ccr_at_fpr"] = "ccr_at_fpr"
    fpr: Annotated[float, Field(ge=0, lt=1, description="share of OOD images that may be accepted")] = 0.1
    paper = "arXiv 1811.04110, section 4"

    note = (
        "CCR at a FPR: share of ID images accepted and classified correctly at the lowest threshold that accepts no "
        "more than this share of OOD images."
    )

    @property
    def title(self) -> str:  # type: ignore[override]  # with its value, where other metrics have a constant
        return f"CCR at {100 * self.fpr:g} % FPR"

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        accepted = oods.of_first(ids.order.not_below) <= (self.fpr + 1e-12) * oods.total[:, None]
        return ids.sum((ids.right & accepted).astype(np.int32)) / ids.total


def needed(positive: Weighted) -> Array:
    """The weight [B] of the fewest samples that are 95 % of all."""
    return np.ceil((RECALL - 1e-12) * positive.total).astype(np.int32)

"""OOD metrics under many weightings of the same samples, at the size of OpenOOD's sets.

The same values as `evaluation.metrics` gives for a sweep, in a fraction of its time and memory: samples are ordered
once, counts are cumulated within ID and within OOD alone, and resamples are taken a few at a time.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthood.evaluation.metrics import RECALL

Array = NDArray[np.float64]
Counts = NDArray[np.integer]
AT_ONCE = 1 << 20
"""Weights that are held at once: few enough to stay near the processor's caches."""


class Order:
    """One side's samples in falling order of confidence.

    By sample in that order: `last` of its ties, and how many of the other side are `above` it and `not_below` it.
    """

    def __init__(self, confidence: NDArray[np.floating], other: NDArray[np.floating]) -> None:
        ordered = np.sort(np.asarray(other, np.float64))
        self.order = np.argsort(-np.asarray(confidence, np.float64), kind="stable")
        own = np.asarray(confidence, np.float64)[self.order]
        self.last = np.searchsorted(-own, -own, side="right") - 1
        self.above = len(ordered) - np.searchsorted(ordered, own, side="right")
        self.not_below = len(ordered) - np.searchsorted(ordered, own, side="left")


class Weighted:
    """Weights [B,n] of one side's ordered samples, and what the first k of them weigh [B,n+1].

    Whole numbers throughout, which are cumulated ten times as fast as floats, and exactly.
    """

    def __init__(self, order: Order, weights: Counts) -> None:
        self.order = order
        self.here = np.take(weights, order.order, axis=1)
        self.first = np.zeros((len(weights), weights.shape[1] + 1), np.int32)
        np.cumsum(self.here, axis=1, dtype=np.int32, out=self.first[:, 1:])
        self.total = self.first[:, -1].astype(np.float64)

    def of_first(self, counts: NDArray[np.int64]) -> Array:
        """What the first k samples weigh, for each k of counts [K]; [B,K]."""
        return np.take(self.first, counts, axis=1).astype(np.float64)


def average_precision(own: Weighted, other: Weighted) -> Array:
    """Mean over one side's samples of its share among all at or above them; [B]."""
    at_or_above = own.of_first(own.order.last + 1)
    precision = at_or_above / np.maximum(at_or_above + other.of_first(own.order.not_below), 1e-300)
    return (own.here * precision).sum(1) / own.total


def rate_at_recall(own: Weighted, other: Weighted) -> Array:
    """Share of the other side at or above the highest threshold that keeps 95 % of the own; [B]."""
    needed = np.ceil((RECALL - 1e-12) * own.total).astype(np.int32)
    reached = [np.searchsorted(row[1:], least) for row, least in zip(own.first, needed, strict=True)]
    kept = other.first[np.arange(len(needed)), own.order.not_below[reached]]
    return kept / other.total


def area(own: Weighted, other: Weighted) -> Array:
    """Probability that one of the own side scores above one of the other, ties half; [B]."""
    above = (other.of_first(own.order.above) + other.of_first(own.order.not_below)) / 2
    return 1 - (own.here * above).sum(1) / (own.total * other.total)


class Resampling:
    """ID and OOD confidences, ordered once for any number of weightings."""

    def __init__(self, ids: NDArray[np.floating], oods: NDArray[np.floating]) -> None:
        self.sides = {1: (Order(ids, oods), Order(oods, ids))}
        # With OOD as the positive class the order turns round
        self.sides[-1] = (Order(-ids, -oods), Order(-oods, -ids))

    def metrics(self, id_weights: Counts, ood_weights: Counts, names: Sequence[str]) -> dict[str, Array]:
        """The named metrics of `OOD_METRICS`, each [B], for weights [B,n] and [B,m]."""
        rows = max(1, AT_ONCE // max(id_weights.shape[1], ood_weights.shape[1]))
        found: dict[str, list[Array]] = {name: [] for name in names}
        for start in range(0, len(id_weights), rows):
            chosen = slice(start, start + rows)
            for name, values in self._few(id_weights[chosen], ood_weights[chosen], names).items():
                found[name].append(values)
        return {name: np.concatenate(values) for name, values in found.items()}

    def _few(self, id_weights: Counts, ood_weights: Counts, names: Sequence[str]) -> dict[str, Array]:
        falling = [Weighted(order, w) for order, w in zip(self.sides[1], (id_weights, ood_weights), strict=True)]
        rising: list[Weighted] = []
        if {"aupr_out", "fpr95_ood_positive"} & set(names):
            rising = [Weighted(order, w) for order, w in zip(self.sides[-1], (id_weights, ood_weights), strict=True)]
        ids, oods = falling
        by_name = {
            "auroc": lambda: area(ids, oods),
            "aupr_in": lambda: average_precision(ids, oods),
            "aupr_out": lambda: average_precision(rising[1], rising[0]),
            "fpr95_id_positive": lambda: rate_at_recall(ids, oods),
            "fpr95_ood_positive": lambda: rate_at_recall(rising[1], rising[0]),
        }
        return {name: by_name[name]() for name in names}

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

    By sample in that order: `first` and `last` of its ties, and how many of the other side are `above` it and
    `not_below` it.
    """

    def __init__(self, confidence: NDArray[np.floating], other: NDArray[np.floating]) -> None:
        ordered = np.sort(np.asarray(other, np.float64))
        self.order = np.argsort(-np.asarray(confidence, np.float64), kind="stable")
        own = np.asarray(confidence, np.float64)[self.order]
        self.first, self.last = np.searchsorted(-own, -own), np.searchsorted(-own, -own, side="right") - 1
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

    def of_first(self, counts: NDArray[np.int64]) -> Counts:
        """What the first k samples weigh, for each k of counts [K]; [B,K]."""
        return np.take(self.first, counts, axis=1)

    def of_others(self, counts: NDArray[np.int64]) -> Counts:
        """What all but the first k samples weigh, for each k of counts [K]; [B,K]."""
        return self.first[:, -1:] - self.of_first(counts)

    def mean(self, values: Array) -> Array:
        """Weighted mean [B] of a value per sample [B,n]."""
        return np.einsum("bn,bn->b", self.here, values) / self.total


def average_precision(own: Weighted, other: Weighted, rising: bool = False) -> Array:
    """Mean over one side's samples of its share among all at or above them, or at or below where `rising`; [B]."""
    if rising:
        reached, also = own.of_others(own.order.first), other.of_others(own.order.above)
    else:
        reached, also = own.of_first(own.order.last + 1), other.of_first(own.order.not_below)
    return own.mean(reached / np.maximum(reached + also, 1))


def rate_at_recall(own: Weighted, other: Weighted, rising: bool = False) -> Array:
    """Share of the other side on the own side of the threshold that just keeps 95 % of the own; [B].

    At or above the highest such threshold, or at or below the lowest where `rising`.
    """
    needed = np.ceil((RECALL - 1e-12) * own.total).astype(np.int32)
    rows = np.arange(len(needed))
    if rising:
        left = own.first[:, -1] - needed
        last = [np.searchsorted(row, most, side="right") - 1 for row, most in zip(own.first, left, strict=True)]
        return 1 - other.first[rows, own.order.above[last]] / other.total
    last = [np.searchsorted(row[1:], least) for row, least in zip(own.first, needed, strict=True)]
    return other.first[rows, own.order.not_below[last]] / other.total


def area(own: Weighted, other: Weighted) -> Array:
    """Probability that one of the own side scores above one of the other, ties half; [B]."""
    above = (other.of_first(own.order.above) + other.of_first(own.order.not_below)) / 2
    return 1 - own.mean(above) / other.total


class Resampling:
    """ID and OOD confidences, ordered once for any number of weightings."""

    def __init__(self, ids: NDArray[np.floating], oods: NDArray[np.floating]) -> None:
        self.orders = Order(ids, oods), Order(oods, ids)

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
        ids, oods = (Weighted(*pair) for pair in zip(self.orders, (id_weights, ood_weights), strict=True))
        by_name = {
            "auroc": lambda: area(ids, oods),
            "aupr_in": lambda: average_precision(ids, oods),
            "aupr_out": lambda: average_precision(oods, ids, rising=True),
            "fpr95_id_positive": lambda: rate_at_recall(ids, oods),
            "fpr95_ood_positive": lambda: rate_at_recall(oods, ids, rising=True),
        }
        return {name: by_name[name]() for name in names}

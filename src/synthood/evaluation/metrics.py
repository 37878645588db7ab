"""OOD metrics, vectorised over resamples, and metrics of the classifier itself; confidence is larger for ID.

Ties count half or share a threshold, so no metric depends on the order of the samples.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.integer]
OOD_METRICS = ("auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive")
RECALL = 0.95
BINS = 15
AT_ONCE = 1 << 20
"""Weights that are held at once: few enough to stay near the processor's caches."""


class Order:
    """One side's samples in falling order of confidence.

    By sample in that order: `first` and `last` of its ties, and how many of the other side are `above` it and
    `not_below` it.
    """

    def __init__(self, confidence: Array, other: Array) -> None:
        ordered = np.sort(other)
        self.order = np.argsort(-confidence, kind="stable")
        own = confidence[self.order]
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

    def sum(self, values: Array) -> Array:
        """Weighted sum [B] of a value per sample [B,n]."""
        found: Array = np.einsum("bn,bn->b", self.here, values)
        return found


def area(own: Weighted, other: Weighted) -> Array:
    """Probability that one of the own side scores above one of the other, ties half; [B]."""
    lost = own.sum((other.of_first(own.order.above) + other.of_first(own.order.not_below)) / 2)
    return (own.total * other.total - lost) / (own.total * other.total)


def average_precision(own: Weighted, other: Weighted, rising: bool = False) -> Array:
    """Mean over one side's samples of its share among all at or above them, or at or below where `rising`; [B]."""
    if rising:
        reached, also = own.of_others(own.order.first), other.of_others(own.order.above)
    else:
        reached, also = own.of_first(own.order.last + 1), other.of_first(own.order.not_below)
    return own.sum(reached / np.maximum(reached + also, 1)) / own.total


def rate_at_recall(own: Weighted, other: Weighted, rising: bool = False) -> Array:
    """Share of the other side on the own side of the threshold that just keeps 95 % of the own; [B].

    At or above the highest such threshold, or at or below the lowest where `rising`.
    """
    needed = np.ceil((RECALL - 1e-12) * own.total).astype(np.int32)
    rows = np.arange(len(needed))
    if rising:
        left = own.first[:, -1] - needed
        last = [np.searchsorted(row, most, side="right") - 1 for row, most in zip(own.first, left, strict=True)]
        return (other.total - other.first[rows, own.order.above[last]]) / other.total
    last = [np.searchsorted(row[1:], least) for row, least in zip(own.first, needed, strict=True)]
    return other.first[rows, own.order.not_below[last]] / other.total


class Ranking:
    """ID and OOD confidences, ordered once for any number of weightings."""

    def __init__(self, ids: NDArray[np.floating], oods: NDArray[np.floating]) -> None:
        if len(ids) == 0 or len(oods) == 0:
            raise ValueError("metrics need at least one ID and one OOD sample")
        one, other = np.asarray(ids, np.float64), np.asarray(oods, np.float64)
        if np.isnan(one).any() or np.isnan(other).any():
            raise ValueError("a confidence is not a number")
        self.orders = Order(one, other), Order(other, one)

    def metrics(self, weights: Sequence[Counts] = (), names: Sequence[str] = OOD_METRICS) -> dict[str, Array]:
        """The named metrics, each [B], for weights [B,n] of ID and [B,m] of OOD samples; all are 1 by default."""
        ids, oods = weights or [np.ones((1, len(each.order)), np.int32) for each in self.orders]
        rows = max(1, AT_ONCE // max(ids.shape[1], oods.shape[1]))
        parts = [self._few(ids[i : i + rows], oods[i : i + rows], names) for i in range(0, len(ids), rows)]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

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


def auroc(ids: NDArray[np.floating], oods: NDArray[np.floating]) -> float:
    """Probability that an ID sample scores above an OOD sample, ties half."""
    return float(Ranking(ids, oods).metrics(names=["auroc"])["auroc"][0])


def counts_above(ids: NDArray[np.floating], oods: NDArray[np.floating]) -> tuple[Counts, Counts]:
    """ID and OOD samples at or above each distinct confidence [K], from the highest down."""
    levels = np.unique(np.concatenate([ids, oods]))[::-1]
    return len(ids) - np.searchsorted(np.sort(ids), levels), len(oods) - np.searchsorted(np.sort(oods), levels)


def id_accuracy(labels: NDArray[np.integer], predictions: NDArray[np.integer]) -> float:
    """Share of ID images classified right."""
    return float((labels == predictions).mean())


def aurc(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Area under the risk-coverage curve: the mean over n of the error among the n most confident ID images.

    Equally confident images come in random order, in expectation (arXiv 1805.08206, section 2).
    """
    if right.all() or not right.any():
        return float(not right.any())
    successes, errors = counts_above(confidence[right], confidence[~right])
    counts = np.arange(1, len(right) + 1)
    found = np.interp(counts, np.append(0, successes + errors), np.append(0, errors))
    return float((found / counts).mean())


def ece(probability: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error of the predicted class's probability, in bins of equal width (arXiv 1706.04599, 3)."""
    position = np.clip(np.ceil(probability.astype(np.float64) * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(position, right - probability.astype(np.float64), minlength=bins)
    return float(np.abs(gap).sum() / len(right))

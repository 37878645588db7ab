"""One side's samples in the order of their confidence, larger for ID, under any number of weightings.

Ties count half or share a threshold, so no metric depends on the order of the samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from synthood.common.lazy import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Counts = NDArray[np.integer]
    Mask = NDArray[np.bool_]
else:
    Array = Counts = Mask = Any  # for annotations alone


class Order:
    """One side's samples in falling order of confidence.

    By sample in that order: `first` and `last` of its ties, and how many of the other side are `above` it and
    `not_below` it. `ties`: whether any sample ties with one of the other side.
    """

    def __init__(self, confidence: Array, other: Array) -> None:
        ordered = np.sort(other)
        self.order = np.argsort(-confidence, kind="stable")
        self.confidence = own = confidence[self.order]
        self.first, self.last = np.searchsorted(-own, -own), np.searchsorted(-own, -own, side="right") - 1
        self.above = len(ordered) - np.searchsorted(ordered, own, side="right")
        self.not_below = len(ordered) - np.searchsorted(ordered, own, side="left")
        self.ties = not np.array_equal(self.above, self.not_below)


class Weighted:
    """Weights [B,n] of one side's ordered samples, and what the first k of them weigh [B,n+1].

    Whole numbers throughout, which are cumulated ten times as fast as floats, and exactly. `right` [n], where given, is
    which samples are classified correctly, in the order in which they were given.
    """

    def __init__(self, order: Order, weights: Counts, right: Mask | None = None) -> None:
        self.order, self.correct = order, None if right is None else right[order.order]
        self.here = np.take(weights, order.order, axis=1)
        self.first = np.zeros((len(weights), weights.shape[1] + 1), np.int32)
        np.cumsum(self.here, axis=1, dtype=np.int32, out=self.first[:, 1:])
        self.total = self.first[:, -1].astype(np.float64)

    @property
    def right(self) -> Mask:
        """Which samples [n], in order of confidence, are classified correctly; raises ValueError where unknown."""
        if self.correct is None:
            raise ValueError("this metric needs to know which ID samples are classified correctly")
        return self.correct

    def of_first(self, counts: NDArray[np.int64]) -> Counts:
        """What the first k samples weigh, for each k of counts [K]; [B,K]."""
        return np.take(self.first, counts, axis=1)

    def of_others(self, counts: NDArray[np.int64]) -> Counts:
        """What all but the first k samples weigh, for each k of counts [K]; [B,K]."""
        return self.first[:, -1:] - self.of_first(counts)

    def sum(self, values: Array | Counts) -> Array:
        """Weighted sum [B] of a value per sample [B,n]."""
        found: Array = np.einsum("bn,bn->b", self.here, values, dtype=np.float64)
        return found

    def repeated(self) -> Iterator[Array]:
        """Per row of weights the confidences, rising, each as often as it weighs."""
        for row in self.here:
            yield np.repeat(self.order.confidence[::-1], row[::-1])

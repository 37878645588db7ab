"""Metrics of ID and OOD confidences; larger is ID."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthood.evaluation.metrics.areas import AuprIn, AuprOut, Auroc
from synthood.evaluation.metrics.base import OODMetric
from synthood.evaluation.metrics.rates import Fpr95IDPositive, Fpr95OODPositive
from synthood.evaluation.ordered import Array, Counts, Order, Weighted

OOD_METRICS = (Auroc(), AuprIn(), AuprOut(), Fpr95IDPositive(), Fpr95OODPositive())
"""Those of every scored model."""
AT_ONCE = 1 << 15
"""Weights that are held at once: few enough to stay in a core's own cache."""
LEAST_ROWS = 8
"""Of weights at once, so that starting a step does not cost more than the step."""


class Ranking:
    """ID and OOD confidences, ordered once for any number of weightings.

    `right` is which ID samples are classified correctly, for metrics that ask.
    """

    def __init__(
        self, ids: NDArray[np.floating], oods: NDArray[np.floating], right: NDArray[np.bool_] | None = None
    ) -> None:
        if len(ids) == 0 or len(oods) == 0:
            raise ValueError("metrics need at least one ID and one OOD sample")
        one, other = np.asarray(ids, np.float64), np.asarray(oods, np.float64)
        if np.isnan(one).any() or np.isnan(other).any():
            raise ValueError("a confidence is not a number")
        self.orders, self.right = (Order(one, other), Order(other, one)), right

    def metrics(self, weights: Sequence[Counts] = (), metrics: Sequence[OODMetric] = OOD_METRICS) -> dict[str, Array]:
        """Each metric [B] by its key, for weights [B,n] of ID and [B,m] of OOD samples; all are 1 by default."""
        ids, oods = weights or [np.ones((1, len(each.order)), np.int32) for each in self.orders]
        rows = max(LEAST_ROWS, AT_ONCE // max(ids.shape[1], oods.shape[1]))
        parts = [self._few(ids[i : i + rows], oods[i : i + rows], metrics) for i in range(0, len(ids), rows)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _few(self, id_weights: Counts, ood_weights: Counts, metrics: Sequence[OODMetric]) -> dict[str, Array]:
        ids, oods = Weighted(self.orders[0], id_weights, self.right), Weighted(self.orders[1], ood_weights)
        return {metric.key: metric.of(ids, oods) for metric in metrics}


def auroc(ids: NDArray[np.floating], oods: NDArray[np.floating]) -> float:
    """Probability that an ID sample scores above an OOD sample, ties half."""
    return float(Ranking(ids, oods).metrics(metrics=[Auroc()])["auroc"][0])


def counts_above(ids: NDArray[np.floating], oods: NDArray[np.floating]) -> tuple[Counts, Counts]:
    """ID and OOD samples at or above each distinct confidence [K], from the highest down."""
    levels = np.unique(np.concatenate([ids, oods]))[::-1]
    return len(ids) - np.searchsorted(np.sort(ids), levels), len(oods) - np.searchsorted(np.sort(oods), levels)


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

"""OOD metrics, vectorised over resamples, and metrics of the classifier itself; confidence is larger for ID.

Ties count half or share a threshold, so no metric depends on the order of the samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
OOD_METRICS = ("auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive")
RECALL = 0.95
BINS = 15


@dataclass(frozen=True)
class Sweep:
    """Weights of ID and OOD samples at or above each distinct confidence, from the highest threshold down.

    Both [B,K] for B resamples and K thresholds, the last column the total.
    """

    id_above: Array
    ood_above: Array


class Ranking:
    """The order of ID and OOD confidences, found once and used for any number of weightings."""

    def __init__(self, id_confidence: NDArray[np.floating], ood_confidence: NDArray[np.floating]) -> None:
        if len(id_confidence) == 0 or len(ood_confidence) == 0:
            raise ValueError("metrics need at least one ID and one OOD sample")
        confidence = np.concatenate([id_confidence, ood_confidence]).astype(np.float64)
        if np.isnan(confidence).any():
            raise ValueError("a confidence is not a number")
        self.ids = len(id_confidence)
        self.order = np.argsort(-confidence, kind="stable")
        ordered = confidence[self.order]
        self.ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
        self.is_id = self.order < self.ids

    def sweep(self, id_weights: Array | None = None, ood_weights: Array | None = None) -> Sweep:
        """Weighted counts at each threshold; weights [B,n] and [B,m], ones by default."""
        if id_weights is None or ood_weights is None:
            weights = np.ones((1, len(self.order)))
        else:
            weights = np.concatenate([id_weights, ood_weights], axis=1)
        ordered = weights[:, self.order]
        above = np.cumsum(ordered, axis=1)[:, self.ends]
        id_above = np.cumsum(np.where(self.is_id, ordered, 0.0), axis=1)[:, self.ends]
        return Sweep(id_above, above - id_above)


def auroc(sweep: Sweep) -> Array:
    """Probability that an ID sample scores above an OOD sample, ties half; [B]."""
    ood_here = np.diff(sweep.ood_above, axis=1, prepend=0.0)
    id_here = np.diff(sweep.id_above, axis=1, prepend=0.0)
    pairs = (ood_here * (sweep.id_above - 0.5 * id_here)).sum(1)
    return pairs / (sweep.id_above[:, -1] * sweep.ood_above[:, -1])


def aupr_in(sweep: Sweep) -> Array:
    """Average precision with ID as the positive class; [B]."""
    id_here = np.diff(sweep.id_above, axis=1, prepend=0.0)
    precision = sweep.id_above / np.maximum(sweep.id_above + sweep.ood_above, 1e-300)
    return (id_here * precision).sum(1) / sweep.id_above[:, -1]


def fpr95_id_positive(sweep: Sweep) -> Array:
    """Share of OOD at or above the highest threshold that keeps 95 % of ID; [B]."""
    kept = sweep.id_above / sweep.id_above[:, -1:]
    first = np.argmax(kept >= RECALL - 1e-12, axis=1)[:, None]
    return (np.take_along_axis(sweep.ood_above, first, 1) / sweep.ood_above[:, -1:])[:, 0]


def reversed_sweep(sweep: Sweep) -> Sweep:
    """The same samples with OOD as the positive class, from the lowest threshold up."""

    def below(above: Array) -> Array:
        return above[:, -1:] - np.concatenate([above[:, -2::-1], np.zeros((len(above), 1))], axis=1)

    return Sweep(below(sweep.ood_above), below(sweep.id_above))


def ood_metrics(sweep: Sweep) -> dict[str, Array]:
    """Every metric of `OOD_METRICS`, each [B]."""
    other = reversed_sweep(sweep)
    return {
        "auroc": auroc(sweep),
        "aupr_in": aupr_in(sweep),
        "aupr_out": aupr_in(other),
        "fpr95_id_positive": fpr95_id_positive(sweep),
        "fpr95_ood_positive": fpr95_id_positive(other),
    }


def id_accuracy(labels: NDArray[np.integer], predictions: NDArray[np.integer]) -> float:
    """Share of ID images classified right."""
    return float((labels == predictions).mean())


def aurc(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Area under the risk-coverage curve: the mean over n of the error among the n most confident ID images.

    Equally confident images come in random order, in expectation (arXiv 1805.08206, section 2).
    """
    ranking = Ranking(confidence[right], confidence[~right]) if right.any() and not right.all() else None
    if ranking is None:
        return float(not right.any())
    sweep = ranking.sweep()
    covered = np.append(0.0, sweep.id_above[0] + sweep.ood_above[0])
    counts = np.arange(1, len(right) + 1)
    return float((np.interp(counts, covered, np.append(0.0, sweep.ood_above[0])) / counts).mean())


def ece(probability: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error of the predicted class's probability, in bins of equal width (arXiv 1706.04599, 3)."""
    position = np.clip(np.ceil(probability.astype(np.float64) * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(position, right - probability.astype(np.float64), minlength=bins)
    return float(np.abs(gap).sum() / len(right))

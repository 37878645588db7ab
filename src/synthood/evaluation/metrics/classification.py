"""Metrics of the classifier on ID images."""

from __future__ import annotations

from typing import Literal

from synthood.common.lazy import np, pd
from synthood.evaluation.metrics.base import IDMetric
from synthood.evaluation.ordered import Array, Counts, Mask

BINS = 15


class IDAccuracy(IDMetric):
    """Share of ID test images classified correctly."""

    kind: Literal["id_accuracy"] = "id_accuracy"

    title = "ID accuracy"
    column = "accuracy"

    def of(self, samples: pd.DataFrame, weights: Counts) -> Array:
        found: Array = weights @ right(samples).astype(np.float64) / weights.sum(1)
        return found


class Ece(IDMetric):
    """Expected calibration error on ID test images, in 15 bins of equal width."""

    kind: Literal["ece"] = "ece"
    paper = "arXiv 1706.04599, section 3"

    title = "ECE"
    column = "ECE"
    lower_is_better = True
    note = "ECE: mean distance between the predicted class's probability and its accuracy, in 15 bins of equal width."

    def of(self, samples: pd.DataFrame, weights: Counts) -> Array:
        probability = samples["probability"].to_numpy(np.float64)
        position = np.clip(np.ceil(probability * BINS).astype(int) - 1, 0, BINS - 1)
        gap = right(samples) - probability
        gaps = np.stack([np.bincount(position, row * gap, minlength=BINS) for row in weights])
        found: Array = np.abs(gaps).sum(1) / weights.sum(1)
        return found


def right(samples: pd.DataFrame) -> Mask:
    """Whether each sample is classified correctly."""
    return np.asarray(samples["label"] == samples["prediction"])

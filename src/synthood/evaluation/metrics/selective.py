"""Metrics of a detector that rejects its classifier's errors on ID images (selective classification)."""

from __future__ import annotations

from typing import Literal

from synthood.common.lazy import np
from synthood.evaluation.metrics.base import SelectiveMetric
from synthood.evaluation.ordered import Array, Mask, Weighted


class Aurc(SelectiveMetric):
    """Mean error among the n most confident ID images, over all n; ties in expectation."""

    kind: Literal["aurc"] = "aurc"
    paper = "arXiv 1805.08206, section 2"

    title = "AURC"
    column = "AURC"
    note = "AURC: mean over n of the error among the n most confident ID test images."

    def of(self, samples: Weighted, right: Mask) -> Array:
        ends = np.unique(samples.order.last) + 1
        counts, errors = samples.of_first(ends), cumulated(samples, ~right)[:, ends]
        places = np.arange(1, int(samples.total[0]) + 1)
        found = [
            (np.interp(places, np.append(0, count), np.append(0, error)) / places).mean()
            for count, error in zip(counts, errors, strict=True)
        ]
        return np.array(found)


class Augrc(SelectiveMetric):
    """Mean over coverages of the share of all ID images that are accepted and wrong; ties half.

    (1 - AUROC_f) acc (1 - acc) + (1 - acc)^2 / 2, where AUROC_f tells right from wrong.
    """

    kind: Literal["augrc"] = "augrc"
    paper = "arXiv 2407.01032, section 3"

    title = "AUGRC"
    column = "AUGRC"
    note = "AUGRC: mean over coverages of the share of all ID test images that are accepted and wrong."

    def of(self, samples: Weighted, right: Mask) -> Array:
        good, wrong = cumulated(samples, right), samples.here * ~right[samples.order.order]
        after = good[:, -1:] - good[:, samples.order.last + 1]
        tied = good[:, samples.order.last + 1] - good[:, samples.order.first]
        found: Array = (wrong * (after + tied / 2)).sum(1) + wrong.sum(1) ** 2 / 2
        return found / samples.total**2


def cumulated(samples: Weighted, chosen: Mask) -> Array:
    """What the chosen of the first k samples weigh, for each k; [B,n+1]."""
    found = np.zeros(samples.first.shape)
    np.cumsum(samples.here * chosen[samples.order.order], axis=1, out=found[:, 1:])
    return found

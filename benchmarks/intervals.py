"""Metrics of scores and their resamples against scikit-learn and torchmetrics: python benchmarks/intervals.py

9,000 ID and 70,000 OOD confidences. All five metrics of every scored model; the same of resampled images, as weights;
AUROC alone, with torchmetrics, whose resamples are copies of the scores. Bar: 1,000 resamples, drawing them included,
within 3 s.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from bench import options, run
from compare import Measurement, measured, optional, within
from machine import limit
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from synthood.evaluation.metrics.areas import Auroc
from synthood.evaluation.ranking import Ranking, auroc
from synthood.reporting.statistics import Resamples

SECONDS = 3.0


def of_scikit(labels: np.ndarray, scores: np.ndarray, *resamples: np.ndarray) -> None:
    """The five metrics, under the weights of each resample where there are any; ID is 1."""
    for weights in resamples or (None,):
        roc_auc_score(labels, scores, sample_weight=weights)
        for one, other in ((labels, scores), (1 - labels, -scores)):
            average_precision_score(one, other, sample_weight=weights)
            roc_curve(one, other, sample_weight=weights)


def rows(given: Namespace, sizes: tuple[int, int] = (9_000, 70_000)) -> Iterator[Measurement]:
    ids, oods = sizes
    many, few = (100, 5) if given.quick else (1000, 50)
    turns, seconds = (5, 4.0) if given.quick else (15, 60.0)
    random = np.random.default_rng(0)
    inside, outside = random.normal(1, 1, ids), random.normal(0, 1, oods)
    labels, scores = np.repeat([1, 0], [ids, oods]), np.concatenate([inside, outside])

    def drawn(count: int) -> tuple[Any, Any]:
        fresh = Resamples(count)
        return fresh.weights("test", ids), fresh.weights("ood", oods)

    weights = drawn(few)
    joined = np.concatenate(weights, axis=1).astype(np.float64)
    yield measured(
        "five metrics",
        lambda: Ranking(inside, outside).metrics(),
        "scikit-learn",
        lambda: of_scikit(labels, scores),
        turns,
        seconds,
        limit=limit(0, scores.nbytes),
    )
    yield measured(
        f"five metrics of {few} resamples",
        lambda: Ranking(inside, outside).metrics(weights),
        "scikit-learn, weights",
        lambda: of_scikit(labels, scores, *joined),
        turns,
        seconds,
        limit=limit(0, sum(one.nbytes for one in weights)),
    )
    theirs = optional("torchmetrics")
    marks, values = torch.from_numpy(labels), torch.from_numpy(scores).float()

    def once() -> None:
        theirs.functional.classification.binary_auroc(values, marks, validate_args=False)

    def bootstrapped() -> None:
        metric = theirs.wrappers.BootStrapper(theirs.classification.BinaryAUROC(validate_args=False), few)
        metric.update(values, marks)
        metric.compute()

    name = "torchmetrics"
    yield measured("AUROC", lambda: auroc(inside, outside), name, theirs and once, turns, seconds)
    yield measured(
        f"AUROC of {few} resamples, drawn",
        lambda: Ranking(inside, outside).metrics(drawn(few), [Auroc()]),
        f"{name} BootStrapper",
        theirs and bootstrapped,
        turns,
        seconds,
    )
    most = SECONDS * many / 1000
    yield within(
        f"five metrics of {many} resamples, drawn",
        lambda: Ranking(inside, outside).metrics(drawn(many)),
        most,
        turns,
        seconds,
    )


if __name__ == "__main__":
    sys.exit(run("intervals", rows, options(__doc__).parse_args()))

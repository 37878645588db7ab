"""A table of many models with all its resamples: python benchmarks/tables.py

500 models, random confidences of six detectors on one near and three far sets, 360 ID and 400 OOD images each, 1,000
resamples, five seeds a recipe, gains over one baseline, Holm's correction; one thread. Bar: 60 s.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator

import numpy as np
import pandas as pd
from bench import options, run
from compare import Measurement, within
from threadpoolctl import threadpool_limits

from synthood.reporting.runs import Run
from synthood.reporting.settings import TableSettings, TabulateSettings
from synthood.reporting.tabulate import tabulate

MODELS, SECONDS = 500, 60.0
DETECTORS = ["msp", "energy", "knn", "mds", "vim", "react"]
IMAGES = {"test": 360, "near": 400, "far0": 400, "far1": 400, "far2": 400}
SEEDS = 5


def scores(recipes: list[str]) -> dict[Run, pd.DataFrame]:
    """Confidences that tell ID from OOD a little better with each recipe."""
    random, parts = np.random.default_rng(0), np.repeat(list(IMAGES), list(IMAGES.values()))
    known = parts == "test"
    found = {}
    for better, recipe in enumerate(recipes):
        for seed in range(SEEDS):
            means = known * (1 + better / len(recipes))
            columns = {name: random.normal(means).astype(np.float32) for name in DETECTORS}
            labels = np.where(known, random.integers(10, size=len(parts)), -1)
            right = random.random(len(parts)) < 0.9
            facts = {"part": parts, "label": labels, "prediction": np.where(right, labels, (labels + 1) % 10)}
            found["data", recipe, seed] = pd.DataFrame(facts | columns)
    return found


def rows(given: Namespace) -> Iterator[Measurement]:
    share = 10 if given.quick else 1
    recipes = [f"recipe{number}" for number in range(MODELS // share // SEEDS)]
    table = TableSettings(
        title="many",
        datasets=["data"],
        recipes=recipes,
        seeds=list(range(SEEDS)),
        detectors=DETECTORS,
        baselines=recipes[:1],
    )
    settings = TabulateSettings(table=table, near={"data": ["near"]}, far={"data": ["far0", "far1", "far2"]})
    confidences = scores(recipes)
    with threadpool_limits(1):
        what = f"table of {len(confidences)} models"
        yield within(what, lambda: tabulate(confidences, settings), SECONDS / share, 3, 0.0)


if __name__ == "__main__":
    sys.exit(run("tables", rows, options(__doc__).parse_args()))

"""Seconds of a table of many models with all its resamples: python benchmarks/tables.py [--models 500] [--check]

Random confidences of six detectors on one near and three far sets, 360 ID and 400 OOD images each, 1,000 resamples,
five seeds a recipe, gains over one baseline, Holm's correction. One process, one thread. Bar: 60 s for 500 models.
"""

import argparse
import os
import platform
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd

from synthood.reporting.runs import Run
from synthood.reporting.settings import TableSettings, TabulateSettings
from synthood.reporting.tabulate import tabulate

BAR = 60.0
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--check", action="store_true", help="exit code 1 where the bar is not met")
    arguments = parser.parse_args()
    recipes = [f"recipe{number}" for number in range(arguments.models // SEEDS)]
    table = TableSettings(
        title="many",
        datasets=["data"],
        recipes=recipes,
        seeds=list(range(SEEDS)),
        detectors=DETECTORS,
        baselines=recipes[:1],
    )
    settings = TabulateSettings(table=table, near={"data": ["near"]}, far={"data": ["far0", "far1", "far2"]})
    given = scores(recipes)
    began, cpu = time.perf_counter(), time.process_time()
    results = tabulate(given, settings)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    bar = BAR * arguments.models / 500
    print(f"{platform.processor() or platform.machine()}, one thread, load {os.getloadavg()[0]:.1f}")
    print(f"{len(given)} models, {len(results.values)} values, {len(results.gains)} gains")
    print(f"{seconds:.1f} s, {cpu:.1f} s of CPU")
    print(f"bar {bar:.0f} s: {'met' if seconds <= bar else 'not met'}")
    sys.exit(arguments.check and seconds > bar)


if __name__ == "__main__":
    main()

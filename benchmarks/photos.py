"""From a folder of photographs to an exported detector: python benchmarks/photos.py FOLDER [--pairs N] [--check]

For each pair of held-out classes, drawn by its number as seed: `synthood init` and `synthood run` of what it wrote, in
a new folder.

- Minutes from `init` to the end of `run`, the most of all pairs. Bar: 6 with the weights of `[lite]`, 15 without
  (`--scratch`).
- Accuracy on ID test images, mean over seeds and pairs, less that of scikit-learn's logistic regression on the same
  features (its defaults; features not scaled). Bar: 0 points. Not with `--scratch`.
- The exported detector, which validation images chose: near AUROC behind the best candidate of its model, median over
  pairs. Bar: 2 points. And its least near AUROC. Bar: 90.

With --check, exit code 1 where a bar is not met.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression

NAME, RECIPE = "photos", "classifier"


def command(place: Path, *words: str) -> None:
    """Runs `synthood`; what it prints goes to `log.txt`."""
    with (place / "log.txt").open("a") as log:
        line = [sys.executable, "-m", "synthood.cli", *words]
        done = subprocess.run(line, cwd=place, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise SystemExit((place / "log.txt").read_text())


def logistic_regression(results: Path) -> float:
    """Test accuracy [%] of scikit-learn's on the features that the heads are trained on."""
    (backbone,) = (results / "backbones").iterdir()
    train, test = (load_file(backbone / f"images/{part}.safetensors") for part in ("train", "test"))
    model = LogisticRegression(max_iter=10_000).fit(train["features"][:, 0], train["labels"])
    return 100 * float(model.score(test["features"][:, 0], test["labels"]))


def figures(results: Path, chosen: str) -> dict[str, float]:
    """Accuracy [%] over the seeds; near AUROC [%] of the chosen detector and of the best one of its model."""
    tables = {path.parent.name: pd.read_csv(path) for path in results.glob(f"models/{RECIPE}/seed*/metrics.csv")}
    accuracy = [float(one.query("metric == 'id_accuracy'")["value"].iloc[0]) for one in tables.values()]
    near = tables["seed0"].query("set == 'held-out' and metric == 'auroc'").groupby("detector")["value"].first()
    return {"accuracy": float(np.mean(accuracy)), "auto": float(near[chosen]), "best": float(near.max())}


def pair(images: Path, held_out: list[str], scratch: bool, place: Path) -> dict[str, float]:
    """Figures of one pair of held-out classes."""
    began = time.monotonic()
    backbone = ["--backbone", "none"] if scratch else []
    command(place, "init", str(images.resolve()), "--dataset", NAME, "--size", "96", "--held-out", *held_out, *backbone)
    command(place, "run", f"{NAME}.yaml", "--cores", "2")
    minutes = (time.monotonic() - began) / 60
    results = place / "results" / NAME
    chosen = json.loads((results / "deploy/detector/detector.json").read_text())["detector"]["kind"]
    found = {"minutes": minutes, **figures(results, chosen)}
    row = {**found, "behind": found["best"] - found["auto"]}
    if not scratch:
        row["logistic"] = logistic_regression(results)
        row["gain"] = row["accuracy"] - row["logistic"]
    shown = ", ".join(f"{key} {value:.2f}" for key, value in row.items())
    print(f"{' + '.join(held_out)}: {chosen}; {shown}; load {os.getloadavg()[0]:.1f}", flush=True)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder with train, validation and test, or one folder per class")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--scratch", action="store_true", help="without pretrained weights")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a bar is not met")
    given = parser.parse_args()
    parts = [path for path in given.images.iterdir() if path.name == "train"] or [given.images]
    classes = sorted(path.name for path in parts[0].iterdir() if path.is_dir())
    rows = []
    for seed in range(given.pairs):
        drawn = np.random.default_rng(seed).choice(len(classes), 2, replace=False)
        with tempfile.TemporaryDirectory() as place:
            rows.append(pair(given.images, [classes[k] for k in sorted(drawn)], given.scratch, Path(place)))
    table = pd.DataFrame(rows)
    slowest = 15.0 if given.scratch else 6.0
    judged = [("minutes, most", table["minutes"].max(), slowest, "<=")]
    if not given.scratch:
        judged.append(("accuracy less logistic regression's, mean", table["gain"].mean(), 0.0, ">="))
    judged += [
        ("behind the best detector, median", table["behind"].median(), 2.0, "<="),
        ("near AUROC of the exported detector, least", table["auto"].min(), 90.0, ">="),
    ]
    failed = False
    for name, value, bar, sign in judged:
        met = value <= bar if sign == "<=" else value >= bar
        failed |= not met
        print(f"{name:<46}{value:8.2f}   {sign} {bar:<5} {'met' if met else 'NOT MET'}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return int(given.check and failed)


if __name__ == "__main__":
    sys.exit(main())

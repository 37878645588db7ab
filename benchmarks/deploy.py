"""An exported detector's numbers: python benchmarks/deploy.py IMAGES [--folder FOLDER] [--check]

IMAGES are photographs of the detector's classes. Without a folder, an untrained network (`--network`) is exported with
ReAct, calibrated by some of IMAGES: enough for times and for ONNX, while coverage is then that of such confidences.

- `score`: images a second from files to rows, against the network alone on decoded tensors, in turns in one process;
  start-up is left out. Bar: 0.9.
- Coverage: over 2,000 splits of the confidences by seed, how often the beta-binomial interval holds the measured
  false-alarm rate. Bar: 94 %.
- ONNX: the exported folder's graph against the detector on IMAGES. Bar: that of the export itself.
- `synthood --help`: seconds, the least of five. Bar: 0.4.

With --check, exit code 1 where a bar is not met.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from synthood.deploy import onnx
from synthood.deploy.conformal import Threshold
from synthood.deploy.export import export, split_calibrated
from synthood.deploy.inputs import Input, Preprocessing, each
from synthood.deploy.onnx_detector import ONNX
from synthood.deploy.predictor import BATCH, Predictor, features_of, load
from synthood.deploy.score import with_rows
from synthood.evaluation.detectors.rectifiers import React
from synthood.evaluation.features import Features, Reference
from synthood.training.networks.architectures.base import build
from synthood.training.networks.model import Classifier
from synthood.training.networks.settings import network_described

SPLITS, LEVEL = 2000, 0.05
BARS = {"score": 0.9, "coverage": 0.94, "onnx": 1.0, "help": 0.4}


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def decoded(images: Path, size: Preprocessing, most: int) -> tuple[list[Path], np.ndarray]:
    """Names and pixels of the readable images of a folder."""
    found: Iterator[Input] = (make() for make in each(images, size))
    good = list(islice((one for one in found if one.pixels is not None), most))
    return [Path(one.name) for one in good], np.stack([one.pixels for one in good if one.pixels is not None])


def untrained(folder: Path, network: str, images: np.ndarray) -> None:
    """Exports an untrained network with ReAct."""
    settings = network_described({"name": network})
    model = build(settings, 10, seed=0).eval()
    classifier = Classifier(settings, [str(k) for k in range(10)], [0.5] * 3, [0.25] * 3, model)
    found = features_of(classifier, images, torch.device("cpu"))
    known = Features(found.logits, found.features, found.logits.argmax(1))
    reference = Reference(known, known, model.head.weight.detach(), model.head.bias.detach())
    calibrated = split_calibrated(React().fit(reference), known)
    export(folder, classifier, calibrated, Preprocessing(*images.shape[1:3]), (LEVEL, 0.1))


def score(predictor: Predictor, files: list[Path]) -> None:
    """Rows of all files."""
    with_rows(io.StringIO(), predictor.stream_by_threads(iter(files)), "csv", True)


def rate(predictor: Predictor, files: list[Path], pixels: np.ndarray, turns: int) -> float:
    """Of `score` over that of the network alone, the least seconds of each."""

    def network() -> None:
        for first in range(0, len(pixels), BATCH):
            features_of(predictor.classifier, pixels[first : first + BATCH], predictor.device)

    network()
    times = [(seconds(network), seconds(partial(score, predictor, files))) for _ in range(turns)]
    alone, whole = (min(each) for each in zip(*times, strict=True))
    count = len(files)
    print(f"{count} images: score {count / whole:.0f} a second, network alone {count / alone:.0f}", flush=True)
    return alone / whole


def coverage(confidences: np.ndarray, splits: int) -> float:
    """Share of splits in halves whose measured rate lies in the interval."""
    half, inside = len(confidences) // 2, 0
    for seed in range(splits):
        mixed = np.random.default_rng(seed).permutation(confidences)
        threshold = Threshold.of(mixed[:half], LEVEL)
        low, high = threshold.measured_rate(len(mixed) - half)
        inside += low <= threshold.rejects(mixed[half:]).mean() <= high
    return inside / splits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--folder", type=Path, help="an exported detector")
    parser.add_argument("--network", default="timm/tf_efficientnet_lite0", help="without a folder")
    parser.add_argument("--size", type=int, default=96, help="pixels a side, without a folder")
    parser.add_argument("--most", type=int, default=3000, help="images")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="exit code 1 where a bar is not met")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as temporary:
        place = given.folder or Path(temporary) / "detector"
        if given.folder is None:
            untrained(place, given.network, decoded(given.images, Preprocessing(given.size, given.size), 500)[1])
        predictor = load(place)
        files, pixels = decoded(given.images, predictor.preprocessing, given.most)
        found = {"score": rate(predictor, files, pixels, given.turns)}
        judged = predictor.judged(predictor.features(pixels))
        found["coverage"] = coverage(judged.confidences[0].astype(np.float64), given.splits)
        print(onnx.write(predictor, Path(temporary) / ONNX, images=pixels))
        found["onnx"] = 1.0
    command = [sys.executable, "-m", "synthood.cli", "--help"]
    run = partial(subprocess.run, command, stdout=subprocess.DEVNULL, check=True)
    found["help"] = min(seconds(run) for _ in range(5))
    met = {name: found[name] <= bar if name == "help" else found[name] >= bar for name, bar in BARS.items()}
    for name, good in met.items():
        print(f"{name}: {found[name]:.3f} (bar {BARS[name]:g}): {'met' if good else 'NOT MET'}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return int(given.check and not all(met.values()))


if __name__ == "__main__":
    sys.exit(main())

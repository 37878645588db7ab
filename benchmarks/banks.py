"""Seconds and memory of detectors on a bank that is larger than memory: python benchmarks/banks.py

ImageNet's size: 1,000 classes and 2,048 features of 1,281,167 images, read from a file as `score` reads it. Measured on
a twentieth and on a tenth of the bank; from the line through both what the whole would take.
One process for each size, detectors one after the other: the first makes the moments that others share, and `together`
are those that share a pass over the bank. Memory is what belongs to no file, sampled while a detector runs: a mapped
bank's pages are the system's to drop. CFOOD, which compares its bank with itself, takes 5,000 samples; WeiPer, with a
product per perturbation, two perturbations.

Bar: 8 GiB. Exit code 1 where it is not met. `--check` takes 2,000 and 4,000 samples of 40,000, 256
features and 100 classes.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from synthood import detectors
from synthood.evaluation.feature_files import FeatureFolder, write_head, write_part
from synthood.evaluation.features import Features
from synthood.evaluation.scoring import together

WHOLE, GIBIBYTES = 1_281_167, 8.0
KINDS = {name: kind for name, kind in detectors.KINDS.items() if kind.reads is None}
"""Detectors of features alone."""
EVERY_SECONDS = 0.02
SHARED = ("knn", "nnguide", "relation", "cfood")


class Watch:
    """The most memory of this process that is no file's, in GiB, sampled from Linux's /proc."""

    def __init__(self) -> None:
        self.most, self.over = 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()

    def now(self) -> float:
        text = Path("/proc/self/status").read_text()
        kilobytes = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon"))
        self.most = max(self.most, kilobytes / 2**20)
        return self.most

    def _watch(self) -> None:
        while not self.over.wait(EVERY_SECONDS):
            self.now()


def write(folder: Path, bank: int, test: int, width: int, classes: int) -> None:
    """Features around a centre per class; the bank in its own file, made in one piece."""
    random = torch.Generator().manual_seed(0)
    centres = torch.randn((classes, width), generator=random).relu()
    weight, bias = F.normalize(centres), torch.zeros(classes)
    write_head(folder, weight, bias)
    for name, count in (("train", bank), ("val", 1000), ("test", test)):
        features = torch.empty((count, width))
        labels = torch.arange(count) % classes
        for rows, own in zip(features.split(4096), labels.split(4096), strict=True):
            rows.normal_(0, 0.5, generator=random).add_(centres[own]).relu_()
        write_part(folder, name, Features(F.linear(features, weight, bias), features, labels))


def settings(name: str, width: int, bank: int, compared: int) -> Any:
    values: dict[str, Any] = {"dimension": width // 2} if name in ("vim", "residual") else {}
    values |= {"share": min(1.0, compared / bank)} if name == "cfood" else {}
    values |= {"repeats": 2} if name == "weiper" else {}
    return KINDS[name].model_validate({"kind": name, **values})


def measured(
    folder: Path, groups: dict[str, tuple[str, ...]], compared: int, threads: int
) -> dict[str, tuple[float, float]]:
    """Seconds of fit and scores of each group of detectors, one after the other, and the most memory meanwhile."""
    torch.set_num_threads(threads)
    opened = FeatureFolder(folder)
    reference, test = opened.reference(), opened.part("test")
    shape, found = (reference.weight.shape[1], len(reference.train), compared), {}
    for label, names in groups.items():
        with Watch() as watch:
            began = time.perf_counter()
            together({name: settings(name, *shape).fit(reference) for name in names}, test)
            found[label] = time.perf_counter() - began, watch.now()
    return found


def in_its_own_process(*arguments: Any) -> dict[str, tuple[float, float]]:
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="small")
    parser.add_argument("--test", type=int, default=2_000, help="samples that are scored")
    parser.add_argument("--part", type=int, default=10, help="the larger bank is so small a part of the whole")
    parser.add_argument("--only", nargs="*", default=[name for name in KINDS if name not in SHARED])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    large, width, classes = (4_000, 256, 100) if arguments.check else (WHOLE // arguments.part, 2_048, 1_000)
    whole, compared = (40_000, 500) if arguments.check else (WHOLE, 5_000)
    groups = {name: (name,) for name in arguments.only} | {"together": SHARED}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in groups}
    print(f"bank {large // 2} and {large} of {whole}, test {arguments.test}, D {width}, C {classes}, ", end="")
    print(f"{arguments.threads} threads, load {os.getloadavg()[0]:.1f}")
    for bank in (large // 2, large):
        with tempfile.TemporaryDirectory() as place:
            write(Path(place), bank, arguments.test, width, classes)
            for name, figures in in_its_own_process(Path(place), groups, compared, arguments.threads).items():
                found[name].append(figures)
    print(f"{'':<12}{'half: s':>10}{'GiB':>7}{'s':>10}{'GiB':>7}{'whole: s':>12}{'GiB':>7}")
    most = 0.0
    for name, ((half_time, half_memory), (time_taken, memory)) in found.items():
        steps = (whole - large) / (large - large // 2)
        whole_time = time_taken + steps * max(0.0, time_taken - half_time)
        whole_memory = memory + steps * max(0.0, memory - half_memory)
        most = max(most, whole_memory)
        print(f"{name:<12}{half_time:>10.2f}{half_memory:>7.2f}{time_taken:>10.2f}{memory:>7.2f}", end="")
        print(f"{whole_time:>12.0f}{whole_memory:>7.2f}", flush=True)
    print(f"{most:.2f} GiB at most; {GIBIBYTES:.0f} GiB: {'met' if most <= GIBIBYTES else 'NOT MET'}")
    sys.exit(most > GIBIBYTES)


if __name__ == "__main__":
    main()

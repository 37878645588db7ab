"""Detectors that compare with a bank of training features: python benchmarks/banks.py

KNN on 50,000 x 10,000 x 512, k 50, against exact search by faiss in its best batch size and by scikit-learn, all from
features that are not yet normalised, and against the products of matrices alone. Bars: as fast as faiss; 1.3 times the
products.

Memory on a bank that is larger than memory, ImageNet's size: 1,000 classes and 2,048 features of 1,281,167 images, read
from a file as `score` reads it. Measured on a twentieth and on a tenth of the bank; from the line through both what the
whole would take. One process for each size, detectors one after the other: the first makes the moments that others
share, and `together` are those that share a pass over the bank. Memory is what belongs to no file, sampled while a
detector runs: a mapped bank's pages are the system's to drop. CFOOD, which compares its bank with itself, takes 5,000
samples; WeiPer, with a product per perturbation, two perturbations. Bar: 8 GiB.
"""

import sys
import tempfile
import threading
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from bench import options, run
from compare import Measurement, figure, measured, optional
from machine import best, limit
from sklearn.neighbors import NearestNeighbors

from synthood import detectors
from synthood.evaluation.feature_files import FeatureFolder, write_head, write_part
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.scoring import together

WHOLE, GIBIBYTES = 1_281_167, 8.0
KINDS = {name: kind for name, kind in detectors.KINDS.items() if kind.reads is None}
"""Detectors of features alone."""
EVERY_SECONDS = 0.02
SHARED = ("knn", "nnguide", "relation", "cfood")
K, TIMES = 50, 1.3
BATCHES = (256, 1024, 4096, 10_000)
"""Queries at once, of which faiss gets the best."""


def neighbours(given: Namespace) -> Iterator[Measurement]:
    """KNN against its peers."""
    size, count, width = (10_000, 2_000, 512) if given.quick else (50_000, 10_000, 512)
    turns, seconds = (9, 5.0) if given.quick else (15, 180.0)
    random = torch.Generator().manual_seed(0)
    bank, test = (
        Features(torch.zeros(n, 1), torch.randn((n, width), generator=random).relu(), torch.zeros(n).long())
        for n in (size, count)
    )
    z, queries = F.normalize(bank.features), F.normalize(test.features)
    faiss = optional("faiss")

    def ours() -> None:
        reference = Reference(bank, bank, torch.zeros(1, width), torch.zeros(1))
        together({"knn": KINDS["knn"].model_validate({"kind": "knn", "k": K}).fit(reference)}, test)

    def products(batch: int) -> None:
        into = torch.empty((min(batch, count), size))
        for part in queries.split(batch):
            torch.mm(part, z.T, out=into[: len(part)])

    def by_faiss(batch: int) -> None:
        index = faiss.IndexFlatL2(width)
        index.add(F.normalize(bank.features).numpy())
        for part in F.normalize(test.features).split(batch):
            index.search(part.numpy(), K)

    def by_scikit() -> None:
        index = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(F.normalize(bank.features).numpy())
        index.kneighbors(F.normalize(test.features).numpy())

    peer, theirs = "faiss", None
    if faiss:
        faiss.omp_set_num_threads(given.threads)
        chosen = min(BATCHES, key=lambda batch: best(partial(by_faiss, batch), 1))
        peer, theirs = f"faiss, {chosen} queries at once", partial(by_faiss, chosen)
    what = f"KNN, {size:,} x {count:,} x {width}"
    floor = min(BATCHES, key=lambda batch: best(partial(products, batch), 2))
    least = limit(2 * size * count * width)
    yield measured(what, ours, peer, theirs, turns, seconds, bar=1.0, limit=least)
    yield measured(
        what, ours, "the products alone", partial(products, floor), turns, seconds, bar=1 / TIMES, limit=least
    )
    yield measured(what, ours, "scikit-learn", by_scikit, turns, seconds, limit=least)


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


def watched(folder: Path, groups: dict[str, tuple[str, ...]], compared: int, threads: int) -> dict[str, float]:
    """The most memory of fit and scores of each group of detectors, one after the other."""
    torch.set_num_threads(threads)
    opened = FeatureFolder(folder)
    reference, test = opened.reference(), opened.part("test")
    shape, found = (reference.weight.shape[1], len(reference.train), compared), {}
    for label, names in groups.items():
        with Watch() as watch:
            together({name: settings(name, *shape).fit(reference) for name in names}, test)
            found[label] = watch.now()
    return found


def memory(given: Namespace) -> Measurement:
    """Of the detector that needs most, on the whole bank."""
    large, width, classes = (4_000, 256, 100) if given.quick else (WHOLE // 10, 2_048, 1_000)
    whole, compared = (40_000, 500) if given.quick else (WHOLE, 5_000)
    groups = {name: (name,) for name in KINDS if name not in SHARED} | {"together": SHARED}
    found = []
    for bank in (large // 2, large):
        with tempfile.TemporaryDirectory() as place, get_context("spawn").Pool(1) as pool:
            write(Path(place), bank, 2_000, width, classes)
            found.append(pool.apply(watched, (Path(place), groups, compared, given.threads)))
    half, all_of = found
    steps = (whole - large) / (large - large // 2)
    expected = {name: all_of[name] + steps * max(0.0, all_of[name] - half[name]) for name in groups}
    most = max(expected, key=lambda name: expected[name])
    return figure(f"memory, {whole:,} x {width}: {most}", expected[most], GIBIBYTES, "GiB")


def rows(given: Namespace) -> Iterator[Measurement]:
    yield from neighbours(given)
    yield memory(given)


if __name__ == "__main__":
    sys.exit(run("banks", rows, options(__doc__).parse_args()))

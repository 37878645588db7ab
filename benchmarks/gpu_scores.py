"""Section of gpu.py: extraction of features, and every detector on banks of CIFAR-10's size."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from gpu_figures import CLASSES, Row, Run, Sizes, barred, of_speed, random, seconds, wait
from scipy.stats import spearmanr

from synthood.common.seeds import derived_seed
from synthood.detectors import KINDS
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.scoring import Score, together
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier, logits_and_features

MEAN, DEVIATION = [0.5] * 3, [0.25] * 3


def options(name: str, sizes: Sizes) -> dict[str, Any]:
    """Detector that the sizes, or no recipe, leave no default for."""
    found: dict[str, dict[str, Any]] = {
        "vim": {"dimension": sizes.features // 2},
        "residual": {"dimension": sizes.features // 2},
        "knn": {"k": min(50, sizes.bank // 10)},
        "mc-dropout": {"probability": 0.5},
    }
    return found.get(name, {})


def scores(run: Run) -> Iterator[Row]:
    """Images per second of extraction, seconds of all detectors, and whether the CPU ranks alike."""
    device, sizes = run.device, run.sizes
    settings = Network.model_validate({"name": sizes.network, "width": sizes.width})
    classifier = Classifier(settings, CLASSES, MEAN, DEVIATION, build(settings, 10, seed=0).to(device).eval())
    pixels = np.random.default_rng(0).integers(0, 256, (sizes.images, 32, 32, 3), dtype=np.uint8)
    logits_and_features(classifier, pixels[:1024], device)
    spent = seconds(lambda: logits_and_features(classifier, pixels, device), device)
    yield Row("extraction", f"{sizes.network}, logits and features", len(pixels) / spent, "images/s")

    weight, bias = torch.randn((10, sizes.features), generator=random()) / sizes.features**0.5, torch.zeros(10)
    centres = 2 * torch.rand((10, sizes.features), generator=random(1))

    def part(count: int, name: str) -> Features:
        own = random(derived_seed(0, name))
        labels = torch.arange(count) % 10
        values = (centres[labels] + 0.5 * torch.randn((count, sizes.features), generator=own)).relu()
        return Features(F.linear(values, weight, bias), values, labels)

    def moved(x: Features) -> Features:
        return Features(x.logits.to(device), x.features.to(device), x.labels.to(device))

    test, sample = part(sizes.test, "test"), part(500, "sample")
    reference = Reference(part(sizes.bank, "train"), part(1000, "val"), weight, bias)
    there = Reference(moved(reference.train), moved(reference.val), weight.to(device), bias.to(device))
    on_device: dict[str, Score] = {}
    on_cpu: dict[str, Score] = {}
    wait(device)
    began, worst = time.perf_counter(), 1.0
    for name, kind in KINDS.items():
        if "outputs" in kind.inputs:
            continue
        detector = kind.model_validate({"kind": name, **options(name, sizes)})
        try:
            score = detector.fit(there)
            together({name: score}, moved(sample))
            on_device[name] = score
        except (RuntimeError, TypeError, NotImplementedError):  # needs the CPU
            on_cpu[name] = detector.fit(reference)
    found = together(on_device, moved(test)) | together(on_cpu, test)
    wait(device)
    spent = time.perf_counter() - began
    yield of_speed(
        sizes,
        "scores",
        f"{len(found)} detectors, {len(on_device)} on the device; bank {sizes.bank}, test {sizes.test}",
        *(spent, "s", 30, True),
    )
    small = Reference(part(2000, "train"), part(500, "val"), weight, bias)
    moved_small = Reference(moved(small.train), moved(small.val), weight.to(device), bias.to(device))
    for name in on_device:
        detector = KINDS[name].model_validate({"kind": name, **options(name, sizes)})
        here = together({name: detector.fit(moved_small)}, moved(sample))[name].cpu()
        right = together({name: detector.fit(small)}, sample)[name]
        worst = min(worst, float(spearmanr(here.double(), right.double()).statistic))
    yield barred("correctness", "detectors, lowest rank correlation with the CPU", worst, "", 0.9999, False)

"""Sections of gpu.py: whether the device computes what the CPU does, and how fast it trains."""

import contextlib
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from gpu_figures import CLASSES, OutOfTimeError, Row, Run, barred, of_speed, random, seconds
from torch import Tensor

from synthood.common.arithmetic import autocast, resolved_precision
from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.training.fit import accuracy, train
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier
from synthood.training.settings import TrainSettings
from synthood.training.terms.losses import cosine_distance, cross_entropy, logit_distillation

TIMED_EPOCHS = 4
"""After a first one, in which the network is compiled."""
PEAKS = {"B200": 2250, "H200": 989, "H100": 989, "A100": 312, "L40S": 362, "A10G": 70, "L4": 121, "RTX 4090": 165}
"""Dense bfloat16 TFLOP/s by the vendor's data sheets."""


def difference(found: Tensor, expected: Tensor) -> float:
    """||found - expected|| / ||expected||."""
    return float((found.detach().cpu().double() - expected).norm() / expected.norm())


def correctness(run: Run) -> Iterator[Row]:
    """Network and losses beside float64 on the CPU."""
    device, sizes = run.device, run.sizes
    settings = Network.model_validate({"name": sizes.network, "width": sizes.width})
    images = torch.randn((16, 3, 32, 32), generator=random())
    exact = build(settings, 10, seed=0).double().eval()
    here = build(settings, 10, seed=0).to(device).eval()
    dtype = resolved_precision("auto", device)
    with torch.no_grad():
        expected = exact(images.double())
        with autocast(dtype, device):
            mixed = here(images.to(device).contiguous(memory_format=torch.channels_last))
        double = here.double()(images.to(device).double())
    yield barred("correctness", "network in float64", difference(double, expected), "rel. difference", 1e-9, True)
    yield barred("correctness", f"network in {dtype}", difference(mixed, expected), "rel. difference", 0.05, True)

    logits, other = (torch.randn((256, 10), generator=random(seed)) for seed in (1, 2))
    labels = torch.arange(256) % 10
    p, q = (other.double() / 4).softmax(1), logits.double() / 4
    losses = {
        "cross-entropy": (
            cross_entropy(logits.to(device), labels.to(device), 0.1),
            F.cross_entropy(logits.double(), labels, label_smoothing=0.1),
        ),
        "distillation": (
            logit_distillation(logits.to(device), other.to(device), 4.0),
            16 * (p * (p.log() - q.log_softmax(1))).sum(1).mean(),
        ),
        "cosine distance": (
            cosine_distance(logits.to(device), other.to(device)),
            1 - F.cosine_similarity(logits.double(), other.double()).mean(),
        ),
    }
    for name, (found, right) in losses.items():
        yield barred("correctness", name, difference(found, right), "rel. difference", 1e-5, True)


def training(run: Run) -> Iterator[Row]:
    """Images per second, and CIFAR-10 where it is given."""
    device, sizes, data, until = run.device, run.sizes, run.data, run.until
    from torch.utils.flop_counter import FlopCounterMode

    recipe: dict[str, Any] = {
        "network": {"name": sizes.network, "width": sizes.width},
        "epochs": 1,
        "batch_size": sizes.batch,
        "learning_rate": 0.1,
        "augmentation": {"shift": 4, "padding": "zero", "flip": True},
    }

    def trained(real: ImageSet, validation: ImageSet, epochs: int, how: str) -> tuple[Classifier, list[float]]:
        """The classifier, and the time at which each epoch ended."""
        settings = TrainSettings.model_validate({"recipe": {**recipe, "epochs": epochs, "compile": how}})
        ends: list[float] = []
        with contextlib.redirect_stdout(io.StringIO()):
            classifier, _, _ = train(
                *(settings, 0, real, validation, None, device, ResumeFile(None, "", 1e9)),
                on_epoch=lambda history: ends.append(time.perf_counter()),
            )
        return classifier, ends

    def noise(count: int) -> ImageSet:
        pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        return ImageSet(pixels, np.arange(count, dtype=np.int64) % 10, CLASSES)

    real, few = noise(sizes.images), noise(64)
    rate, best = 0.0, "off"
    for how in ("off", "graphs", "on") if device.type == "cuda" else ("off",):
        began = time.perf_counter()
        ends = trained(real, few, 1 + TIMED_EPOCHS, how)[1]
        found = TIMED_EPOCHS * len(real) / (ends[-1] - ends[0])
        yield Row("training", f"{sizes.network}, batch {sizes.batch}, compile: {how}", found, "images/s")
        yield Row("training", f"first epoch, compile: {how}", ends[0] - began, "s")
        if found > rate:
            rate, best = found, how

    network = build(TrainSettings.model_validate({"recipe": recipe}).recipe.network, 10, seed=0)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 3, 32, 32)).sum().backward()
    flops = counter.get_total_flops() / 2
    peak = matrix_product(device, sizes.matrix)
    yield Row("training", f"bfloat16 matrix product of {sizes.matrix}", peak / 1e12, "TFLOP/s")
    yield Row("training", "share of that product's rate", rate * flops / peak)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    if known := next((value for key, value in PEAKS.items() if key in name), None):
        yield Row("training", f"share of {known} TFLOP/s, the data sheet's", rate * flops / known / 1e12)
    if data is None:
        hundred = 100 * 50_000 / rate
        yield of_speed(sizes, "training", "100 epochs of CIFAR-10, by that rate", hundred, "s", 120, True)
        return
    training_set, test = (ImageSet(*arrays(data / f"cifar10_{part}.npz"), CLASSES) for part in ("train", "test"))
    validation = ImageSet(test.images[:1000], test.labels[:1000], CLASSES)
    epochs = min(sizes.epochs, int(0.8 * (until - time.monotonic()) * rate / len(training_set)))
    if epochs < 1:
        raise OutOfTimeError
    began = time.perf_counter()
    classifier, ends = trained(training_set, validation, epochs, best)
    if epochs == 100:
        yield barred("training", "100 epochs of CIFAR-10", ends[-1] - began, "s", 120, True)
    else:
        yield Row("training", f"{epochs} epochs of CIFAR-10", ends[-1] - began, "s")
    yield Row("training", f"accuracy on the test images after {epochs} epochs", accuracy(classifier, test))


def arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N,32,32,3] and labels int64 [N]."""
    with np.load(path) as stored:
        return stored["images"], stored["labels"].astype(np.int64)


def matrix_product(device: torch.device, size: int) -> float:
    """FLOP/s of a square bfloat16 matrix product of random numbers."""
    left, right = (torch.randn((size, size), device=device, dtype=torch.bfloat16) for _ in range(2))

    def products() -> None:
        for _ in range(10):
            left @ right

    products()
    return 10 * 2 * size**3 / seconds(products, device)

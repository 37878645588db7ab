"""Seconds of a training step: SIO beside cross-entropy, and our loop beside a usual one: python benchmarks/training.py

SIO: steps of the same network, batch size and images, one with real images alone and one of SIO's composition. Bar:
1.03 times as long.

Throughput: steps of ours (tensors, memory as the workflow has it kept) and of a DataLoader that decodes and augments by
Pillow, with a float32 loop; the same network, batch and augmentation, each in a process of its own. Bars with bfloat16,
where the processor has instructions for it: 2.5 times with ResNet-18, 3 times with ResNet-8; in float32 1.5 and 2.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch
import torch.nn.functional as F
from bench import options, run
from compare import Measurement, measured
from machine import limit, operations
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from synthood.common.arithmetic import autocast, resolved_precision
from synthood.common.precision import Precision
from synthood.common.seeds import generator
from synthood.training.augmentation.settings import Augmentation
from synthood.training.batches import Composition
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier
from synthood.training.terms.losses import cross_entropy
from synthood.workflow.machine import ALLOCATION

CLASSES, SIDE, IMAGES = 10, 32, 5000
AUGMENTATION = Augmentation(shift=4, flip=True, padding="zero")
MEAN, DEVIATION = [0.5] * 3, [0.25] * 3
SMALL, LARGE = Network(name="resnet8", width=16), Network(name="resnet18", width=64)
BATCH, SLOWER = 128, 1.03
BARS = {"bfloat16": {"resnet8": 3.0, "resnet18": 2.5}, "float32": {"resnet8": 2.0, "resnet18": 1.5}}


def images(count: int) -> tuple[Tensor, Tensor]:
    """Random pixels uint8 [N,32,32,3] and labels int64 [N]."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, SIDE, SIDE, 3), generator=random, dtype=torch.uint8)
    return pixels, torch.arange(count) % CLASSES


class Ours:
    """Steps as `fit.train` takes them without terms, endlessly."""

    def __init__(self, network: Network, alpha: float, precision: Precision) -> None:
        self.network = build(network, CLASSES, seed=0)
        self.classifier = Classifier(network, [str(c) for c in range(CLASSES)], MEAN, DEVIATION, self.network)
        self.images, self.labels = images(2 * IMAGES)
        side, cpu = self.images.shape[1], torch.device("cpu")
        self.prepared = AUGMENTATION.prepared(self.classifier.normalised, side, side, 0, cpu)
        self.composition = Composition(IMAGES, IMAGES, BATCH, round(BATCH * alpha), 0)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.01, 0.9, nesterov=True, weight_decay=5e-4)
        self.dtype = resolved_precision(precision, torch.device("cpu"))
        self.taken, self.batches = 0, self.composition.epoch(0)

    def step(self) -> None:
        epoch, position = divmod(self.taken, self.composition.steps_per_epoch)
        if position == 0:
            self.batches = self.composition.epoch(epoch)
        chosen = self.batches[position]
        random = generator(0, "augmentation", self.taken)
        inputs = self.prepared(self.images[chosen], random)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        self.network.train()
        with autocast(self.dtype, inputs.device):
            logits = self.network.head(self.network.features(inputs))
        loss = cross_entropy(logits, self.labels[chosen], 0.0)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        float(loss.detach())
        self.taken += 1


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images one by one through Pillow."""

    def __init__(self, count: int) -> None:
        pixels, labels = images(count)
        self.pixels, self.labels = pixels.numpy(), labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(SIDE, 4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, DEVIATION),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


class Usual:
    """A DataLoader, float32, no particular memory format."""

    def __init__(self, network: Network) -> None:
        self.network: nn.Module = build(network, CLASSES, seed=0).to(memory_format=torch.contiguous_format)
        self.loader = DataLoader(Pictures(IMAGES), BATCH, shuffle=True, drop_last=True)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.01, 0.9, nesterov=True, weight_decay=5e-4)
        self.batches: Iterator[tuple[Tensor, Tensor]] = iter(())

    def step(self) -> None:
        batch = next(self.batches, None)
        if batch is None:
            self.batches = iter(self.loader)
            batch = next(self.batches)
        self.network.train()
        loss = F.cross_entropy(self.network(batch[0]), batch[1])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        float(loss.detach())


def answer(asked: Connection, network: Network, precision: Precision | None, threads: int) -> None:
    """Takes a step of ours, or without a precision of the usual loop, for each message, until the other end closes."""
    torch.set_num_threads(threads)
    loop = Ours(network, 1.0, precision) if precision else Usual(network)
    try:
        while asked.recv():
            loop.step()
            asked.send(True)
    except EOFError:
        return


class Apart:
    """A loop in a process of its own, with the workflow's settings of memory (ours) or without any (the usual)."""

    def __init__(self, network: Network, precision: Precision | None, threads: int) -> None:
        for name in ALLOCATION:
            os.environ.pop(name, None)
        os.environ.update(ALLOCATION if precision else {})
        self.connection, other = get_context("spawn").Pipe()
        self.process = get_context("spawn").Process(target=answer, args=(other, network, precision, threads))
        self.process.start()
        other.close()

    def step(self) -> None:
        self.connection.send(True)
        self.connection.recv()

    def close(self) -> None:
        self.connection.close()
        self.process.join()


def rows(given: Namespace) -> Iterator[Measurement]:
    plain, sio = (Ours(SMALL, alpha, "auto") for alpha in (1.0, 0.8))
    few, more, seconds = (60, 15, 5.0) if given.quick else (300, 30, 120.0)
    yield measured("resnet8, SIO's step", sio.step, "cross-entropy's", plain.step, few, seconds, bar=1 / SLOWER)
    native = resolved_precision("auto", torch.device("cpu")) == torch.bfloat16
    precisions: tuple[Precision, ...] = ("bfloat16", "float32") if native else ("float32",)
    for network, turns in ((SMALL, few), (LARGE, more)):
        counted = operations(Ours(network, 1.0, "float32").step)
        for precision in precisions:
            loops = [Apart(network, one, given.threads) for one in (precision, None)]
            for loop in loops:  # a first step prepares kernels, and is too long to be left out as a warm-up
                loop.step()
            yield measured(
                f"{network.name}, step of {BATCH} images in {precision}",
                loops[0].step,
                "DataLoader by Pillow, float32",
                loops[1].step,
                turns,
                seconds,
                bar=BARS[precision][network.name],
                limit=limit(counted, dtype=getattr(torch, precision)),
            )
            for loop in loops:
                loop.close()


if __name__ == "__main__":
    sys.exit(run("training", rows, options(__doc__).parse_args()))

"""Seconds of a training step: SIO beside cross-entropy, and our loop beside a usual one: python benchmarks/training.py

SIO: pairs of steps of the same network, batch size and images, one with real images alone and one of SIO's
composition, in turns and in changing order; the median of the pairs' ratios. Bar: 1.03.

Throughput: images per second of our step (tensors, bfloat16 where the processor has it, memory as the workflow has it
kept) and of a DataLoader that decodes and augments by Pillow, with a float32 loop; the same network, batch and
augmentation, in turns, each in a process of its own. Bars: twice with ResNet-18, three times with a small network.
`--threads` are those of both. Exit code 1 where a bar is not met.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from synthood.common.arithmetic import autocast, resolved_precision
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


def images(count: int) -> tuple[Tensor, Tensor]:
    """Random pixels uint8 [N,32,32,3] and labels int64 [N]."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, SIDE, SIDE, 3), generator=random, dtype=torch.uint8)
    return pixels, torch.arange(count) % CLASSES


class Ours:
    """Steps as `fit.train` takes them without terms, endlessly."""

    def __init__(
        self, network: Network, batch_size: int, alpha: float, real: int = 5000, synthetic: int = 5000
    ) -> None:
        self.network = build(network, CLASSES, seed=0)
        self.classifier = Classifier(network, [str(c) for c in range(CLASSES)], MEAN, DEVIATION, self.network)
        self.images, self.labels = images(2 * IMAGES)
        side, cpu = self.images.shape[1], torch.device("cpu")
        self.prepared = AUGMENTATION.prepared(self.classifier.normalised, side, side, 0, cpu)
        self.composition = Composition(IMAGES, IMAGES, batch_size, round(batch_size * alpha), 0)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.01, 0.9, nesterov=True, weight_decay=5e-4)
        self.dtype = resolved_precision("auto", torch.device("cpu"))
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

    def __init__(self, network: Network, batch_size: int, workers: int) -> None:
        self.network: nn.Module = build(network, CLASSES, seed=0).to(memory_format=torch.contiguous_format)
        self.loader = DataLoader(
            Pictures(5000),
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
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


def answer(asked: Connection, network: Network, workers: int | None, threads: int) -> None:
    """Takes a step of ours, or with `workers` of the usual loop, for each message, until the other end closes."""
    torch.set_num_threads(threads)
    loop = Ours(network, 128, 1.0) if workers is None else Usual(network, 128, workers)
    try:
        while asked.recv():
            loop.step()
            asked.send(True)
    except EOFError:
        return


class Apart:
    """A loop in a process of its own, with the workflow's settings of memory (ours) or without any (the usual)."""

    def __init__(self, network: Network, workers: int | None, threads: int) -> None:
        for name in ALLOCATION:
            os.environ.pop(name, None)
        os.environ.update(ALLOCATION if workers is None else {})
        self.connection, other = get_context("spawn").Pipe()
        self.process = get_context("spawn").Process(target=answer, args=(other, network, workers, threads))
        self.process.start()
        other.close()

    def step(self) -> None:
        self.connection.send(True)
        self.connection.recv()

    def close(self) -> None:
        self.connection.close()
        self.process.join()


def seconds(step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def pairs(first: Callable[[], None], second: Callable[[], None], count: int) -> np.ndarray:
    """Seconds [count,2] of both, in turns; every second pair begins with the second."""
    for step in (first, second, first, second):
        step()
    found = np.empty((count, 2))
    for index in range(count):
        for which in (0, 1) if index % 2 == 0 else (1, 0):
            found[index, which] = seconds((first, second)[which])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=300, help="of SIO against cross-entropy")
    parser.add_argument("--throughput", type=int, nargs=2, default=[60, 6], help="pairs, small network and ResNet-18")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, default=0, help="processes of the DataLoader")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = resolved_precision("auto", torch.device("cpu"))
    print(f"{platform.machine()}, {arguments.threads} threads, torch {torch.__version__}, our precision {dtype}\n")
    met = []

    plain, sio = Ours(SMALL, 128, 1.0), Ours(SMALL, 128, 0.8)
    times = pairs(plain.step, sio.step, arguments.pairs)
    ratios = times[:, 1] / times[:, 0]
    low, high = np.quantile(ratios, [0.25, 0.75])
    ratio = statistics.median(ratios)
    met.append(ratio <= 1.03)
    print(f"SIO against cross-entropy, resnet8, batch 128, {len(times)} pairs")
    print(f"  {1e3 * np.median(times[:, 0]):.1f} ms, {1e3 * np.median(times[:, 1]):.1f} ms;", end=" ")
    print(f"median ratio {ratio:.4f} (quartiles {low:.3f} to {high:.3f}), bar 1.03\n")

    print(f"{'network':10s} {'ours, images/s':>15s} {'usual, images/s':>16s} {'ratio':>6s} {'bar':>4s}")
    for network, count, bar in ((SMALL, arguments.throughput[0], 3.0), (LARGE, arguments.throughput[1], 2.0)):
        loops = [Apart(network, workers, arguments.threads) for workers in (None, arguments.workers)]
        times = pairs(loops[0].step, loops[1].step, count)
        for loop in loops:
            loop.close()
        ours, usual = 128 / np.median(times, axis=0)
        met.append(usual * bar <= ours)
        print(f"{network.name:10s} {ours:15.0f} {usual:16.0f} {ours / usual:6.2f} {bar:4.1f}", flush=True)
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()

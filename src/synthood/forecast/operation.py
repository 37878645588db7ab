"""What jobs repeat, such as a training step, and how long one takes on this machine."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch

from synthood.errors import SynthoodError

Trial = Callable[[int], object]
"""Computes so many units."""

LARGEST = 2e10
"""Operations of a unit that is tried: of what takes more, a part is tried that a workflow's job repeats."""
CPU_RATE, CPU_SPREAD = 2e10, 0.7
"""Operations a second of one core where nothing was measured, and the standard deviation of the rate's logarithm."""
LEAST_ERROR = 0.1
"""Of a measured time: the rest of a job is not the same as what was measured."""
FIRST = 3
"""Units that are tried at least."""
SHORTEST, LONGEST = 0.5, 6.0
"""Seconds that one operation is tried for."""


@dataclass(frozen=True)
class Operation:
    """Something that jobs do a number of times.

    `flops` are those of a unit. `trial` prepares what computes units that are `scaled` times smaller; without one, or
    where it fails, the operations alone tell how long a unit takes. Two operations of one name are the same.
    """

    name: str
    flops: float = field(compare=False)
    trial: Callable[[torch.device], Trial] | None = field(default=None, compare=False, repr=False)
    scaled: float = field(default=1.0, compare=False)
    usual: float = field(default=0.0, compare=False)
    """Seconds of a unit, beside its `flops`, where it was not measured."""


@dataclass(frozen=True)
class Taken:
    """Seconds of a unit, the relative error, and whether they were measured."""

    seconds: float
    error: float
    measured: bool


class Clock:
    """Seconds that this process computes: on the CPU the processor's, on a GPU those that go by."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def of(self, work: Callable[[], object]) -> float:
        """Seconds of some work."""
        began = self._now()
        with contextlib.redirect_stdout(io.StringIO()):
            work()
        return self._now() - began

    def _now(self) -> float:
        if self.device.type == "cpu":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()


def measured(operation: Operation, device: torch.device, seconds: float) -> Taken | None:
    """A unit's time, from the difference of few and of many, which is free of what is done once.

    Takes about so many seconds. None where it cannot be tried here, such as without the files that it reads.
    """
    if operation.trial is None:
        return None
    clock = Clock(device)
    try:
        with contextlib.redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):
            run = operation.trial(device)
            first = clock.of(lambda: run(1))  # what is only done once, such as choosing how to convolve
            few, some = clock.of(lambda: run(1)), clock.of(lambda: run(FIRST))
            step = max((some - few) / (FIRST - 1), few / 50, 1e-6)
            left = seconds - first - 2 * few - some
            many = FIRST + max(0, math.ceil((left / 2 - some) / step))
            found = [max((clock.of(lambda: run(many)) - few) / (many - 1), 1e-9) for _ in range(2)]
    except (SynthoodError, OSError, RuntimeError, ValueError, ImportError):
        return None
    middle = sum(found) / 2
    error = math.hypot(LEAST_ERROR, abs(found[0] - found[1]) / (2 * middle))
    return Taken(middle * operation.scaled, error, measured=True)


class Rates:
    """Times of operations: measured ones, and those that follow from their number of floating-point operations."""

    def __init__(self) -> None:
        self.known: dict[str, Taken] = {}
        self.rates: list[float] = []

    def add(self, operation: Operation, taken: Taken) -> None:
        """Remembers what was measured."""
        self.known[operation.name] = taken
        if operation.flops:
            self.rates.append(operation.flops / taken.seconds)

    @property
    def rate(self) -> float:
        """Operations a second: of those measured, the one in the middle."""
        return sorted(self.rates)[len(self.rates) // 2] if self.rates else CPU_RATE

    def of(self, operation: Operation) -> Taken:
        """A unit's time."""
        return self.known.get(operation.name) or Taken(
            operation.usual + operation.flops / self.rate, CPU_SPREAD, measured=False
        )


def measure(wanted: Iterable[tuple[Operation, float]], device: torch.device, seconds: float) -> Rates:
    """Times of operations, given with the units that all jobs do of them; takes about so many seconds.

    What takes most is measured first and longest. A core's threads are one, as jobs have by default.
    """
    rates = Rates()
    if seconds <= 0:
        return rates
    whole, threads = seconds, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for operation, share in _by_cost(wanted):
            clock = Clock(device)
            if seconds <= 0:
                break
            # What is left for the others, each of which has a share too
            mine = max(SHORTEST, min(seconds / 2, share * whole, LONGEST))
            seconds -= clock.of(lambda: _try(rates, operation, device, mine))  # noqa: B023  runs at once
    finally:
        torch.set_num_threads(threads)
    return rates


def _try(rates: Rates, operation: Operation, device: torch.device, seconds: float) -> None:
    if (taken := measured(operation, device, seconds)) is not None:
        rates.add(operation, taken)


def _by_cost(wanted: Iterable[tuple[Operation, float]]) -> Iterator[tuple[Operation, float]]:
    """Operations with their shares of all that is computed, the largest first; what counts nothing last, with 0."""
    units: dict[Operation, float] = {}
    for operation, count in wanted:
        units[operation] = units.get(operation, 0.0) + count
    seconds = {one: (one.usual + one.flops / CPU_RATE) * count for one, count in units.items()}
    total = sum(seconds.values()) or 1.0
    shares = {operation: own / total for operation, own in seconds.items()}
    yield from sorted(shares.items(), key=lambda pair: -pair[1])

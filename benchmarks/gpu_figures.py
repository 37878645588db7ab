"""What the sections of gpu.py share: amounts, rows with bars, clocks, and the table."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

CLASSES = [str(number) for number in range(10)]


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    network: str
    width: int
    images: int
    batch: int
    epochs: int
    bank: int
    test: int
    features: int
    matrix: int
    unet: tuple[int, ...]
    vae: tuple[int, ...]
    text: tuple[int, int, int]
    """Width, layers, heads."""
    side: int
    usual: tuple[int, int, int]
    """Images, batch and steps of the plain loop."""
    ours: tuple[int, int, int]


FULL = Sizes(
    *("resnet18", 64, 50_000, 128, 100),
    *(50_000, 163_000, 512, 8192),
    *((320, 640, 1280, 1280), (128, 256, 512, 512), (768, 12, 12), 512),
    *((4, 4, 50), (32, 16, 20)),
)
QUICK = Sizes(
    *("resnet8", 8, 256, 64, 2),
    *(400, 600, 16, 256),
    *((32, 64), (16, 32), (32, 2, 4), 32),
    *((2, 2, 6), (4, 2, 3)),
)


@dataclass(frozen=True)
class Run:
    """What a section is given: the device, how much, until when by the monotonic clock, and where CIFAR-10 is."""

    device: torch.device
    sizes: Sizes
    until: float
    data: Path | None = None


@dataclass(frozen=True)
class Row:
    """A figure, and the bar that it must clear where there is one."""

    section: str
    figure: str
    value: float | str
    unit: str = ""
    bar: str = ""
    met: bool | str = ""


def barred(section: str, figure: str, value: float, unit: str, bar: float, most: bool) -> Row:
    """A figure that must be at most, or at least, its bar."""
    return Row(
        section, figure, value, unit, f"{'<=' if most else '>='} {bar:g}", value <= bar if most else value >= bar
    )


def of_speed(sizes: Sizes, *barring: Any) -> Row:
    """The same, without the bar where the sizes are not the true ones."""
    return barred(*barring) if sizes is FULL else Row(*barring[:4])


class OutOfTimeError(Exception):
    """A section's time is over."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Stops the block by OutOfTimeError once its time is over."""

    def stop(*_: object) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Of one call, the device's queue emptied before and after."""
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def text(rows: list[Row]) -> str:
    """The table as text."""
    names = [field.name for field in fields(Row)]
    cells = [names, *([shown(value) for value in asdict(row).values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

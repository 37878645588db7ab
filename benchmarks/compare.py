"""Ours and a peer in turns on one machine; a verdict only where their ratio is certain enough.

A ratio is the peer's time over ours, the median over turns that start with the one and the other alternately. Its
interval has order statistics of at least 95 % from six turns on, is the range of three to five, and without end below.
A bar is `met` where all of the interval reaches it, `not met` where none of it does, else `undecided`. Where others
take more than `LOADED` of the cores, up to three times as many turns are taken; above `BUSY` no bar is judged, since
threads that wait for one another without a core each change the ratio itself.
"""

import importlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from machine import processor
from numpy.typing import NDArray
from scipy.stats import binom

LEAST, AGAIN, LOADED, BUSY = 3, 3, 0.05, 0.25
SHORT, LONG = 0.05, 5.0
"""Seconds: shorter work is repeated within a turn; first runs that take longer count, others only warm up."""
HEAD = "| what | ours | peer | theirs | ratio | interval | turns | bar | limit | others | verdict |"
Work = Callable[[], Any]


@dataclass(frozen=True)
class Measurement:
    """Ours and theirs in `unit`, less is better, and the ratio of theirs to ours within `low` and `high`.

    `bar` is the least ratio, `limit` what the machine's rates allow, `others` the share of the cores that others took.
    """

    what: str
    ours: float = math.nan
    peer: str = ""
    theirs: float = math.nan
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    turns: int = 0
    bar: float | None = None
    limit: float = math.nan
    others: float = 0.0
    unit: str = "s"
    stage: str = ""

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return ""
        if self.others > BUSY:
            return "undecided"
        return "met" if self.low >= self.bar else "not met" if self.high < self.bar else "undecided"

    def row(self) -> str:
        """Of a Markdown table under `HEAD`."""
        numbers = (self.ours, self.theirs, self.ratio, self.low, self.high, self.bar or math.nan, self.limit)
        ours, theirs, ratio, low, high, bar, limit = ("" if math.isnan(x) else f"{x:.3g}" for x in numbers)
        others = f"{self.others:.0%}{' (loaded)' if self.others > LOADED else ''}"
        cells = (f"{self.what}, {self.unit}", ours, self.peer, theirs, ratio, low and f"{low} to {high}", self.turns)
        return f"| {' | '.join(map(str, (*cells, bar, limit, others, self.verdict)))} |"


@dataclass(frozen=True)
class Turns:
    """Seconds [n,2] of ours and theirs in each turn, and the share of the cores that others took meanwhile."""

    seconds: NDArray[np.float64]
    others: float


def interval(ratios: NDArray[np.float64]) -> tuple[float, float]:
    """Of the median of ratios [n], as the module's docstring says."""
    if len(ratios) < LEAST:
        return 0.0, math.inf
    rank, ordered = max(1, int(binom.ppf(0.025, len(ratios), 0.5))), np.sort(ratios)
    return float(ordered[rank - 1]), float(ordered[-rank])


def paired(
    ours: Work, theirs: Work, turns: int, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> Turns:
    """So many turns, or as many from three on as fit into so many seconds; three times both on a loaded machine."""

    def taken(work: Work, repeats: int = 1) -> float:
        start = clock()
        for _ in range(repeats):
            work()
        return (clock() - start) / repeats

    began, (busy, own) = time.perf_counter(), processor()
    first = [taken(ours), taken(theirs)]
    repeats = [math.ceil(SHORT / max(one, 1e-6)) for one in first]
    found = [first] if sum(first) >= LONG else []
    while True:
        elapsed, (busy_now, own_now) = time.perf_counter() - began, processor()
        others = max(0.0, busy_now - busy - (own_now - own)) / (elapsed * (os.cpu_count() or 1))
        more = AGAIN if others > LOADED else 1
        if len(found) >= LEAST and (len(found) >= turns * more or elapsed > seconds * more):
            return Turns(np.array(found), others)
        if len(found) % 2 == 0:
            found.append([taken(ours, repeats[0]), taken(theirs, repeats[1])])
        else:
            found.append([taken(theirs, repeats[1]), taken(ours, repeats[0])][::-1])


def judged(what: str, turns: Turns, peer: str, **more: Any) -> Measurement:
    """The row of turns."""
    ratios = turns.seconds[:, 1] / turns.seconds[:, 0]
    ours, theirs = map(float, np.median(turns.seconds, axis=0))
    ratio = float(np.median(ratios)), *interval(ratios), len(ratios)
    return Measurement(what, ours, peer, theirs, *ratio, others=turns.others, **more)


def measured(
    what: str, ours: Work, peer: str, theirs: Work | None, turns: int, seconds: float, **more: Any
) -> Measurement:
    """Ours against a peer, None where it is not installed."""
    if theirs is None:
        return Measurement(what, peer=f"{peer} is not installed: pip install 'synthood[bench]'", **more)
    return judged(what, paired(ours, theirs, turns, seconds), peer, **more)


def within(what: str, work: Work, most: float, turns: int, seconds: float) -> Measurement:
    """Work that may take so many seconds."""
    found = paired(work, lambda: None, turns, seconds)
    found.seconds[:, 1] = most
    return judged(what, found, "at most", bar=1.0)


def figure(what: str, value: float, most: float, unit: str) -> Measurement:
    """A figure that needs no turns, such as memory."""
    ratio = most / max(value, 1e-12)
    return Measurement(what, value, "at most", most, ratio, ratio, ratio, 1, 1.0, unit=unit)


def optional(name: str) -> Any:
    """A module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None

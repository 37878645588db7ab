"""Comparisons of recipes and detectors: a sentence each, tests where there are seeds enough, DeLong for one pair."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from synthood.reporting.statistics import Components, Runs, difference

FEWEST = 5
"""Seeds below which nothing is tested: three differences cannot tell luck from an effect."""
SURE = 1 - 1e-12


@dataclass(frozen=True)
class Comparison:
    """How much one thing gains over another on an OOD set or role, in points; `p` after Holm's correction."""

    name: str
    base: str
    where: str
    gain: float
    low: float
    high: float
    seeds: int
    confidence: float
    p: float | None = None

    def sentence(self) -> str:
        """Gain, interval and test in words."""
        where = f"{self.where} OOD" if self.where in ("near", "far") else self.where
        if math.isnan(self.gain):
            return f"{self.name} - {self.base} on {where}: no seed in common"
        seeds = "1 seed (images alone)" if self.seeds == 1 else f"{self.seeds} seeds"
        level, interval, tested = level_of(self.confidence), "", ""
        if not math.isnan(self.low):
            interval = f", {100 * self.confidence:.4g} % interval {points(self.low)} to {points(self.high)}"
        if self.p is not None:
            sign = "significant" if self.p < level else "not significant"
            tested = f", {p_text(self.p, level)} (Holm): {sign}"
        return f"{self.name} - {self.base} on {where}: {points(self.gain)} points{interval}, {seeds}{tested}"


def level_of(confidence: float) -> float:
    """The level of the tests: what the intervals' confidence leaves."""
    return round(1 - confidence, 12)


def points(number: float) -> str:
    """With a sign and two decimals, more where a number would read as zero that is not; never a minus before zero."""
    digits = 2
    while number and not round(number, digits) and digits < 6:
        digits += 1
    return f"{round(number, digits) + 0.0:+.{digits}f}"


def p_text(p: float, level: float) -> str:
    """A p-value with three decimals, more where rounding would carry it over the level."""
    if p < 0.001 <= level:
        return "p < 0.001"
    digits = 3
    while (round(p, digits) < level) != (p < level) and digits < 12:
        digits += 1
    return f"p = {p:.{digits}f}"


def corrected(pairs: Sequence[tuple[Runs, Runs]], fewest: int = FEWEST) -> list[float | None]:
    """p-value of each gain (runs, runs of the base), corrected for all that are tested; None below `fewest` seeds."""
    gains = [
        difference(runs, base) if min(map(len, (runs.values, base.values))) >= fewest else None for runs, base in pairs
    ]
    values = [p_value(gain) if gain and len(gain.values) >= fewest else None for gain in gains]
    found = iter(holm([value for value in values if value is not None]))
    return [None if value is None else float(next(found)) for value in values]


def p_value(gain: Runs) -> float:
    """Two-sided: one minus the highest confidence whose interval for the gain leaves out zero; at least 1e-12."""
    components, size = Components.of(gain), abs(float(gain.values.mean()))
    if components.reach(SURE) <= size:
        return 1.0 if size == 0 else 1 - SURE
    return float(1 - brentq(lambda confidence: components.reach(confidence) - size, 0.0, SURE, xtol=1e-14))


def holm(values: Sequence[float]) -> NDArray[np.float64]:
    """p-values corrected for being several, in the order given (Holm 1979)."""
    p = np.asarray(values, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


@dataclass(frozen=True)
class DeLong:
    """Difference of two AUROCs on the same images, its standard error, and the two-sided p-value."""

    difference: float
    error: float
    p: float


def delong(first: tuple[NDArray[np.floating], ...], second: tuple[NDArray[np.floating], ...]) -> DeLong:
    """Compares two scores, each (confidence of ID [n], confidence of OOD [m]) in the same order of images.

    DeLong, DeLong and Clarke-Pearson (1988), for one model and one set: it knows nothing of seeds. Where neither score
    varies (both AUROCs 0 or 1) there is no error, and p is 1 for equal AUROCs and 0 for different ones.
    """
    placements = [placed(np.asarray(ids, np.float64), np.asarray(oods, np.float64)) for ids, oods in (first, second)]
    (ids_a, oods_a), (ids_b, oods_b) = placements
    if len(ids_a) != len(ids_b) or len(oods_a) != len(oods_b) or min(len(ids_a), len(oods_a)) < 2:
        raise ValueError("DeLong's test needs two scores of the same images, at least two ID and two OOD")
    gap = float(ids_a.mean() - ids_b.mean())
    variance = (ids_a - ids_b).var(ddof=1) / len(ids_a) + (oods_a - oods_b).var(ddof=1) / len(oods_a)
    error = math.sqrt(float(variance))
    if error == 0:
        return DeLong(gap, 0.0, float(gap == 0))
    return DeLong(gap, error, float(2 * ndtr(-abs(gap) / error)))


def placed(ids: NDArray[np.float64], oods: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of OOD below each ID sample [n], and of ID above each OOD sample [m]; ties half."""

    def below(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        ordered = np.sort(others)
        return (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right")) / (2 * len(others))

    return below(ids, oods), 1 - below(oods, ids)

"""Comparisons of recipes and detectors: a sentence each, tests where there are seeds enough, DeLong for one pair."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from synthood.reporting.statistics import Components, Estimate, Runs, crossed_gain, difference

FEWEST = 5
"""Seeds below which nothing is tested: three differences cannot tell luck from an effect."""
SURE = 1 - 1e-12


@dataclass(frozen=True)
class Comparison:
    """How much one thing gains over another on an OOD set or role; `p` after Holm's correction, None if not tested."""

    name: str
    base: str
    where: str
    gain: Estimate
    seeds: int
    confidence: float
    p: float | None = None

    def sentence(self) -> str:
        """Gain and interval in points, e.g. for a table's caption."""
        where = f"{self.where} OOD" if self.where in ("near", "far") else self.where
        seeds = "1 seed (images alone)" if self.seeds == 1 else f"{self.seeds} seeds"
        low, high = (round(100 * bound, 1) + 0.0 for bound in (self.gain.low, self.gain.high))
        tested = "" if self.p is None else f", p {'< 0.001' if self.p < 0.001 else f'= {self.p:.3f}'} (Holm)"
        return (
            f"{self.name} - {self.base} on {where}: {round(100 * self.gain.mean, 1) + 0.0:+.1f} points, "
            f"{100 * self.confidence:.4g} % interval {low:.1f} to {high:.1f}, {seeds}{tested}"
        )


def compare(
    pairs: Sequence[tuple[str, str, str, Runs, Runs]], confidence: float = 0.95, fewest: int = FEWEST
) -> list[Comparison]:
    """From (name, base, where, runs, runs of the base); the p-values of all pairs are corrected together."""
    values = [p_value(r, b) if min(len(r.values), len(b.values)) >= fewest else None for _, _, _, r, b in pairs]
    corrected = iter(holm([value for value in values if value is not None]))
    return [
        Comparison(
            name,
            base_name,
            where,
            crossed_gain(runs, base, confidence),
            min(len(runs.values), len(base.values)),
            confidence,
            None if value is None else float(next(corrected)),
        )
        for (name, base_name, where, runs, base), value in zip(pairs, values, strict=True)
    ]


def p_value(runs: Runs, base: Runs) -> float:
    """Two-sided: one minus the highest confidence whose interval for the gain leaves out zero; at least 1e-12."""
    gain = difference(runs, base)
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

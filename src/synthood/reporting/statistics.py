"""Intervals over seeds and images as crossed random effects, with resamples of images that all comparisons share.

Percentiles of a joint bootstrap would reach no further than the seeds themselves: where trainings differ more than
images do, a nominal 95 % covers 75 % with three seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from synthood.common.seeds import derived_seed

Array = NDArray[np.float64]


@dataclass
class Resamples:
    """Counts of how often each image is drawn in each of B resamples.

    A set's counts are drawn once, by its name, so recipes, detectors and near sets see the same ID images.
    """

    count: int
    images: dict[tuple[str, int], NDArray[np.int16]] = field(default_factory=dict)

    def weights(self, name: str, size: int) -> NDArray[np.int16]:
        """Image counts [B,size] of a set, small numbers however large the set."""
        if (name, size) not in self.images:
            random = np.random.default_rng(derived_seed("bootstrap", name))
            counts = np.empty((self.count, size), np.int16)
            for row in counts:
                # Faster than a multinomial's draws, which are as many binomials
                row[:] = np.bincount(random.integers(size, size=size, dtype=np.int32), minlength=size)
            self.images[name, size] = counts
        return self.images[name, size]


@dataclass(frozen=True)
class Estimate:
    """Mean and SD (ddof 1) over seeds, and an interval for new seeds and new images."""

    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Runs:
    """One quantity of the runs of a recipe: as measured [S], and resampled [S,B].

    `seeds` are those of the runs; empty where one model serves all seeds. Of an ensemble, `without` [M] is the quantity
    with each of its M models left out.
    """

    values: Array
    resampled: Array
    seeds: tuple[int, ...] = ()
    without: Array | None = None

    @classmethod
    def average(cls, runs: list["Runs"]) -> "Runs":
        """Unweighted mean of several quantities, e.g. over the near sets."""
        values, resampled = ([getattr(one, name) for one in runs] for name in ("values", "resampled"))
        without = [one.without for one in runs if one.without is not None]
        left_out = np.mean(without, axis=0) if len(without) == len(runs) else None
        return cls(np.mean(values, axis=0), np.mean(resampled, axis=0), runs[0].seeds, left_out)

    def of_seeds(self, seeds: Sequence[int]) -> "Runs":
        """The runs of some of the seeds, in their order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return Runs(self.values[rows], self.resampled[rows], tuple(seeds))


@dataclass(frozen=True)
class Components:
    """Variance of a mean over S seeds: what the seeds add, with S - 1 degrees of freedom, and what the images add.

    `drawn` is that of the mean of these very trainings, for new images alone.
    """

    seeds: float
    images: float
    freedom: int
    drawn: float

    @classmethod
    def of(cls, runs: Runs) -> "Components":
        """Seeds and images as crossed random effects.

        What the runs vary by on the same images, s^2 / S, holds the seeds' effect and the noise of each run alone; the
        mean covariance of two runs under the same resamples of images holds what the images do to all runs. The seeds'
        share of an ensemble is the jackknife's: (M - 1) times the variance of the M values without one model.
        """
        count, drawn = len(runs.values), float(runs.resampled.mean(0).var(ddof=1))
        if count == 1 and runs.without is not None:
            left_out = runs.without
            jackknife = (len(left_out) - 1) * float(left_out.var())
            return cls(jackknife, drawn, len(left_out) - 1, drawn)
        if count == 1:
            return cls(0.0, drawn, 0, drawn)
        covariance = np.cov(runs.resampled)
        shared = (covariance.sum() - np.trace(covariance)) / (count * (count - 1))
        return cls(float(runs.values.var(ddof=1)) / count, max(float(shared), 0.0), count - 1, drawn)

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.seeds + self.images)

    def reach(self, confidence: float) -> float:
        """Half of the interval: standard errors times the quantiles of t and normal, weighted by the variances.

        Cochran and Cox, Experimental Designs (1957), section 4.14; for normal effects never below the nominal
        level from three seeds on. At least that of new images alone, since few seeds may agree by accident.
        """
        normal = float(ndtri(0.5 + confidence / 2))
        student = float(stdtrit(self.freedom, 0.5 + confidence / 2)) if self.freedom else normal
        weighted = (self.seeds * student + self.images * normal) / self.error if self.error else 0.0
        return max(weighted, math.sqrt(self.drawn) * normal)


def crossed(runs: Runs, confidence: float, least: float = 0.0) -> Estimate:
    """Mean over seeds of a quantity in [least, 1] with an interval that holds for new seeds and new images.

    With one seed it leaves out how trainings differ.
    """
    mean, reach = float(runs.values.mean()), Components.of(runs).reach(confidence)
    deviation = float(np.std(runs.values, ddof=1)) if len(runs.values) > 1 else float("nan")
    return Estimate(mean, deviation, max(mean - reach, min(least, mean)), min(mean + reach, max(1.0, mean)))


def difference(runs: Runs, base: Runs) -> Runs | None:
    """Of the same seeds and images, so what both share cancels; None where they share no seed."""
    return weighted_sum(runs, base, -1.0)


def weighted_sum(runs: Runs, other: Runs, weight: float) -> Runs | None:
    """`runs + weight * other` of the seeds that both have; None where they share none."""
    if runs.seeds and other.seeds and runs.seeds != other.seeds:
        common = [seed for seed in runs.seeds if seed in other.seeds]
        if not common:
            return None
        runs, other = runs.of_seeds(common), other.of_seeds(common)
    values, resampled = runs.values + weight * other.values, runs.resampled + weight * other.resampled
    without = None
    if runs.without is not None and other.without is not None and len(runs.without) == len(other.without):
        without = runs.without + weight * other.without
    return Runs(values, resampled, runs.seeds or other.seeds, without)


def crossed_gain(runs: Runs, base: Runs, confidence: float) -> Estimate:
    """Difference to the base recipe's runs, a quantity in [-1, 1]; NaN where they share no seed."""
    gain = difference(runs, base)
    return crossed(gain, confidence, least=-1.0) if gain else Estimate(math.nan, math.nan, math.nan, math.nan)

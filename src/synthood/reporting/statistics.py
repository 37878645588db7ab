"""Bootstrap over seeds and images jointly: one set of resamples, shared by everything that is compared."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthood.common.seeds import derived_seed

Array = NDArray[np.float64]


@dataclass
class Resamples:
    """Counts of how often each image and each seed is drawn in each of B resamples.

    A set's counts are drawn once, by its name, so recipes, detectors and near sets see the same ID images.
    """

    count: int
    images: dict[tuple[str, int], Array] = field(default_factory=dict)

    def weights(self, name: str, size: int) -> Array:
        """Image counts [B,size] of a set."""
        if (name, size) not in self.images:
            random = np.random.default_rng(derived_seed("bootstrap", name))
            drawn = random.multinomial(size, np.full(size, 1 / size), size=self.count)
            self.images[name, size] = drawn.astype(np.float64)
        return self.images[name, size]

    def seeds(self, size: int) -> Array:
        """Weights [B,size] of the runs with each seed; each row sums to 1."""
        random = np.random.default_rng(derived_seed("bootstrap", "seeds", size))
        return random.multinomial(size, np.full(size, 1 / size), size=self.count) / size


@dataclass(frozen=True)
class Estimate:
    """Mean and SD (ddof 1) over seeds, and a percentile interval over seeds and images."""

    mean: float
    deviation: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Array, resampled: Array, confidence: float) -> "Estimate":
        """From values [S] of the runs and means [B] of the resamples."""
        tail = 50 * (1 - confidence)
        low, high = np.percentile(resampled, [tail, 100 - tail])
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        return cls(float(values.mean()), deviation, float(low), float(high))


@dataclass(frozen=True)
class Runs:
    """One quantity of the runs of a recipe: as measured [S], and resampled [S,B]."""

    values: Array
    resampled: Array

    def mean_over_seeds(self, seeds: Array) -> Array:
        """Means [B] under the seeds' weights [B,S]."""
        return (seeds * self.resampled.T).sum(1)

    @classmethod
    def average(cls, runs: list["Runs"]) -> "Runs":
        """Unweighted mean of several quantities, e.g. over the near sets."""
        return cls(np.mean([one.values for one in runs], axis=0), np.mean([one.resampled for one in runs], axis=0))


def estimate(runs: Runs, seeds: Array, confidence: float) -> Estimate:
    """Mean over seeds with its interval."""
    return Estimate.of(runs.values, runs.mean_over_seeds(seeds), confidence)


def gain(runs: Runs, base: Runs, seeds: Array, confidence: float) -> Estimate:
    """Difference to the base recipe's runs of the same seeds and images."""
    difference = runs.mean_over_seeds(seeds) - base.mean_over_seeds(seeds)
    return Estimate.of(runs.values - base.values, difference, confidence)

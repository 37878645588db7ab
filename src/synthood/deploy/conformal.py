"""Split-conformal p-values and thresholds, and how far the true and the measured rate may be from a promised level.

Confidence is larger for ID. All guarantees assume that calibration and new ID images are exchangeable, for example
drawn alike from one source; another camera or season breaks them.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from synthood.errors import SynthoodError

if TYPE_CHECKING:
    from scipy import stats

Array = NDArray[np.float64]
COVERAGE = 0.95
"""Of all intervals here."""
LOOSEST = 2.0
"""Times its level, the highest true rate that a threshold may have without a warning."""


def checked_confidences(values: ArrayLike, what: str = "calibration") -> Array:
    """Float64 [n]; raises SynthoodError where there are none, or one is not finite."""
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not found.size:
        raise SynthoodError(f"{what}: expected confidences [n] with n >= 1, got {list(found.shape)}")
    if wrong := int((~np.isfinite(found)).sum()):
        raise SynthoodError(f"{what}: {wrong} of {len(found)} confidences are not finite; the detector is broken")
    return found


def p_values(calibration: ArrayLike, confidences: ArrayLike) -> Array:
    """(1 + #{i: s_i <= s}) / (n + 1) [m]: ties count against rejection (Vovk et al., 2005; arXiv 2104.08279, eq. 2)."""
    known = np.sort(checked_confidences(calibration))
    return (1 + np.searchsorted(known, np.asarray(confidences, np.float64), side="right")) / (len(known) + 1)


def rank(level: float, count: int) -> int:
    """The largest k with k / (count + 1) <= level, in the arithmetic of `p_values`."""
    found = int(level * (count + 1)) + 1
    while found / (count + 1) > level:
        found -= 1
    return found


def least_count(level: float) -> int:
    """Calibration images without which nothing is ever rejected at a level."""
    return first_count(level, 1)


def first_count(level: float, k: int) -> int:
    """The fewest images of which the k-th lowest is the threshold."""
    found = max(1, int(k / level) - 2)
    while rank(level, found) < k:
        found += 1
    return found


@cache
def sufficient_count(level: float) -> int:
    """The least calibration images from which on every threshold of this level comes without a warning."""

    def loose(count: int) -> bool:
        return true_rate(level, count)[1] > LOOSEST * level

    # The interval's end falls with n, and rises where k does: there it is the worst of that k's, and falls with k
    k = 1
    while loose(first_count(level, k)):
        k += 1
    found = first_count(level, k)
    while found > 1 and not loose(found - 1):
        found -= 1
    return found


def true_rate(level: float, count: int) -> tuple[float, float]:
    """The central 95 % of Beta(k, n + 1 - k): false alarms of a threshold from n images, were all images measured."""
    k = rank(level, count)
    if not k:
        return 0.0, 0.0
    low, high = betaincinv(k, count + 1 - k, ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2))
    return float(low), float(high)


@dataclass(frozen=True)
class Threshold:
    """A confidence below which images are rejected: `level` of new ID images, at most, on average over calibrations.

    `count` calibration images, the `rank`-th lowest of which is the threshold; `ties` of them are equal to it.
    """

    level: float
    count: int
    rank: int
    value: float
    ties: int

    @classmethod
    def of(cls, calibration: ArrayLike, level: float) -> "Threshold":
        """Rejects exactly what `p_values` give at most `level`; raises SynthoodError where n is too small for that."""
        known = np.sort(checked_confidences(calibration))
        if not 0 < level < 1:
            raise SynthoodError(f"reject_id {level:g}: expected a share between 0 and 1, such as 0.05 for 5 %")
        k = rank(level, len(known))
        if not k:
            raise SynthoodError(
                f"reject_id {level:g}: {len(known)} calibration images cannot support it, {least_count(level)} are "
                f"the fewest; take more of them, or a higher level"
            )
        value = float(known[k - 1])
        return cls(level, len(known), k, value, int((known == value).sum()))

    def rejects(self, confidences: ArrayLike) -> NDArray[np.bool_]:
        """Which [m] are below the threshold."""
        return np.asarray(confidences, np.float64) < self.value

    @cached_property
    def true_rate(self) -> tuple[float, float]:
        """The true rate's interval; with ties nothing but its upper end holds, so it begins at 0."""
        low, high = true_rate(self.level, self.count)
        return (low if self.ties == 1 else 0.0), high

    def measured_rate(self, count: int) -> tuple[float, float]:
        """The interval of the share of `count` new ID images that are rejected, beta-binomial; from 0 with ties."""
        low, high = self.distribution(count).ppf(((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)) / count
        return (float(low) if self.ties == 1 else 0.0), float(high)

    def distribution(self, count: int) -> "stats.rv_frozen":
        """Of the number of rejected images among `count` new ID images."""
        from scipy import stats  # its import takes a second, and the server does without

        return stats.betabinom(count, self.rank, self.count + 1 - self.rank)

    @property
    def warning(self) -> str:
        """A sentence where n is too small for the true rate to be near the level; empty elsewhere."""
        low, high = self.true_rate
        if high <= LOOSEST * self.level:
            return ""
        return (
            f"reject_id {self.level:g}: with {self.count} calibration images the true rate lies between "
            f"{100 * low:.2g} % and {100 * high:.2g} % (95 %); {sufficient_count(self.level)} images keep it below "
            f"{100 * LOOSEST * self.level:.2g} %"
        )


def benjamini_hochberg(values: ArrayLike, level: float) -> NDArray[np.bool_]:
    """Which of a batch [m] are OOD so that, on average, at most `level` of those flagged are ID.

    Valid for conformal p-values that share one calibration set (Bates et al., arXiv 2104.08279, theorem 2).
    """
    return adjusted(values) <= level


def adjusted(values: ArrayLike) -> Array:
    """The lowest level [m] at which Benjamini-Hochberg rejects each: min over j with p_j >= p_i of m p_j / rank_j."""
    p = np.asarray(values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    found = np.empty(len(p))
    found[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return found


def cross_p_values(calibration: ArrayLike, folds: ArrayLike, confidences: ArrayLike) -> Array:
    """(1 + sum over folds k of #{i in k: s_i <= s_k}) / (n + 1) [m], s_k [K,m] by the detector fitted without fold k.

    `calibration` [n] holds each image's confidence by the detector fitted without its own fold, in `folds` [n]
    (cross-conformal prediction, Vovk 2015; CV+, arXiv 1905.02928).
    """
    known, fold = checked_confidences(calibration), np.asarray(folds)
    by_fold = np.asarray(confidences, np.float64)
    below = np.zeros(by_fold.shape[1], np.int64)
    for k, own in enumerate(by_fold):
        below += np.searchsorted(np.sort(known[fold == k]), own, side="right")
    return (1 + below) / (len(known) + 1)


def cross_bound(level: float, count: int, folds: int) -> float:
    """The share of ID images that p-values at most `level` of `folds` folds may reject (arXiv 1905.02928, theorem 4).

    About twice the level, against the level itself of a calibration part apart.
    """
    size = count / folds
    return min(1.0, 2 * level + min(2 * (1 - 1 / folds) / (size + 1), (1 - folds / count) / (folds + 1)))


def rate_interval(hits: int, count: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share of which `hits` of `count` were seen."""
    if not count:
        return 0.0, 1.0
    low = betaincinv(hits, count - hits + 1, (1 - COVERAGE) / 2) if hits else 0.0
    high = betaincinv(hits + 1, count - hits, (1 + COVERAGE) / 2) if hits < count else 1.0
    return float(low), float(high)

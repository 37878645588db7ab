"""Tests of new images against those of calibration, exact for few images, and alarms that hold however often one looks.

All compare two samples: new confidences [m] with the calibration's [n]. A test of uniform p-values would take the error
of a finite calibration set for drift once m is large. Each p-value is valid on average over calibrations, and ties make
it larger.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from synthood.deploy.conformal import COVERAGE, Array

Counts = NDArray[np.int64]
EXACT_RANKS = 10_000
"""n m up to which the law of the rank sum is exact; a normal law above it, whose tails are the heavier."""
EXACT_DISTANCE = 20_000_000
"""n m up to which the law of the distance is exact; Kolmogorov's limit, which is larger, above it."""


def wilson(hits: ArrayLike, count: ArrayLike) -> tuple[Array, Array]:
    """Wilson's 95 % interval of shares `hits` of `count` (1927); from 0 to 1 where the count is 0."""
    x, n = np.asarray(hits, np.float64), np.asarray(count, np.float64)
    z = special.ndtri((1 + COVERAGE) / 2)
    some = np.maximum(n, 1)
    centre, half = x + z**2 / 2, z * np.sqrt(x * (some - x) / some + z**2 / 4)
    low, high = np.maximum(centre - half, 0) / (n + z**2), np.minimum((centre + half) / (n + z**2), 1)
    return np.where(x == 0, 0.0, low), np.where(x == n, 1.0, high)


def compare(known: ArrayLike, new: ArrayLike) -> tuple[Counts, Counts]:
    """Of samples [..., n] and [..., m]: U = #{(i, j): new_j < known_i}, and n m times Kolmogorov-Smirnov's distance.

    Ties count against drift in both.
    """
    a, b = np.asarray(known, np.float64), np.asarray(new, np.float64)
    n, m = a.shape[-1], b.shape[-1]
    both = np.concatenate((a, b), axis=-1)
    order = np.argsort(both, axis=-1, kind="stable")
    is_new = order >= n
    news = np.cumsum(is_new, axis=-1)
    knowns = np.arange(1, n + m + 1) - news
    values = np.take_along_axis(both, order, axis=-1)
    last = np.concatenate((values[..., 1:] != values[..., :-1], np.ones((*values.shape[:-1], 1), bool)), axis=-1)
    return (is_new * (n - knowns)).sum(-1), (last * np.abs(news * n - knowns * m)).max(-1)


def lower(u: ArrayLike, n: int, m: int) -> Array:
    """P(U >= u): one-sided test that new confidences are lower (Mann and Whitney, 1947)."""
    found = np.asarray(u)
    if n * m <= EXACT_RANKS:
        return _rank_tails(n, m)[found]
    spread = np.sqrt(n * m * (n + m + 1) / 12)
    return np.asarray(special.ndtr(-(found - 0.5 - n * m / 2) / spread))


@lru_cache(maxsize=256)
def _rank_tails(n: int, m: int) -> Array:
    """P(U >= u) for u = 0 ... n m: the largest of all is one of the n, above all m, or one of the m."""
    laws = np.zeros((m + 1, n * m + 1))
    laws[:, 0] = 1
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            moved = laws[j]
            moved[j:] = moved[: moved.size - j].copy()
            moved[:j] = 0
            laws[j] = (i * moved + j * laws[j - 1]) / (i + j)
    return np.minimum(np.cumsum(laws[m][::-1])[::-1], 1)


@lru_cache(maxsize=65536)
def changed(distance: int, n: int, m: int) -> float:
    """P(D >= d), `distance` = n m d: two-sided test that confidences differ at all (Kolmogorov-Smirnov).

    Exact by counting paths of a lattice that stay inside the band (Hodges, 1958).
    """
    if n * m > EXACT_DISTANCE:
        return float(special.kolmogorov(distance / np.sqrt(float(n) * m * (n + m))))
    if distance <= 0:
        return 1.0
    inside, scale = np.zeros(m + 1), 0.0
    inside[: min(m, (distance - 1) // n) + 1] = 1
    for i in range(1, n + 1):
        first, last = max(0, (i * m - distance) // n + 1), min(m, (i * m + distance - 1) // n)
        inside[:first] = 0
        inside[last + 1 :] = 0
        np.cumsum(inside[first : last + 1], out=inside[first : last + 1])
        most = inside[last]
        if not most:
            return 1.0
        inside[first : last + 1] /= most
        scale += np.log(most)
    paths = special.gammaln(n + m + 1) - special.gammaln(n + 1) - special.gammaln(m + 1)
    return float(min(1.0, max(0.0, -np.expm1(scale + np.log(inside[m] or 1e-300) - paths))))


@lru_cache(maxsize=4096)
def rejection_tails(groups: tuple[tuple[int, int, int], ...]) -> Array:
    """P(X >= x), x = 0 ... m + 1, of rejected images: (m, k, n) are those of a group, its rank and calibration size.

    Beta-binomial laws with k and n + 1 - k of independent groups, added up.
    """
    law = np.ones(1)
    for m, k, n in groups:
        own = stats.betabinom.pmf(np.arange(m + 1), m, k, n + 1 - k) if k else np.eye(1, m + 1)[0]
        law = np.convolve(law, own)
    return np.append(np.minimum(np.cumsum(law[::-1])[::-1], 1), 0.0)


def more_rejected(hits: int, count: int, known_hits: int, known: int) -> float:
    """One-sided exact test of Fisher that `hits` of `count` is more than `known_hits` of `known`."""
    return float(stats.hypergeom.sf(hits - 1, known + count, known_hits + hits, count))


def class_shifts(counts: Counts, known: Counts) -> Array:
    """Two-sided p-values [C] of Fisher's exact test that a class has another share of `counts` [C] than of `known`."""
    m, n = int(counts.sum()), int(known.sum())
    law = stats.hypergeom(n + m, known + counts, m)
    found: Array = np.minimum(1, 2 * np.minimum(law.cdf(counts), law.sf(counts - 1)))
    return found


def factor(number: ArrayLike) -> Array:
    """t (t + 1): of the chance of a false alarm period t may spend 1 / t - 1 / (t + 1), and all periods all of it."""
    t = np.asarray(number, np.float64)
    return t * (t + 1)


def onset(sums: ArrayLike, counts: ArrayLike) -> int:
    """The first period after a change: where the means of p-values before and after differ most, by their spread.

    `sums` [T] of p-values over `counts` [T] images.
    """
    total, size = np.cumsum(np.asarray(sums, np.float64)), np.cumsum(np.asarray(counts, np.float64))
    before, after = size[:-1], size[-1] - size[:-1]
    gap = total[:-1] / before - (total[-1] - total[:-1]) / after
    return 1 + int(np.argmax(gap**2 * before * after))

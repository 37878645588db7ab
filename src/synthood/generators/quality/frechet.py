"""Distances between sets of features: Fréchet (arXiv 1706.08500) and kernel (arXiv 1801.01401), with intervals."""

import math
from dataclasses import dataclass

import numpy as np

NORMAL_95 = 1.959964
LEAST_IMAGES = 10
"""Below, resamples of a few different images say nothing."""


@dataclass(frozen=True)
class Estimate:
    """A figure of `images` images, and its 95 % interval."""

    value: float
    low: float
    high: float
    images: int


Moments = tuple[np.ndarray, np.ndarray]


def moments(features: np.ndarray, counts: np.ndarray | None = None) -> Moments:
    """Mean [D] and covariance [D,D] of features [N,D], each image taken `counts` [N] times (default: once)."""
    x = features.astype(np.float64)
    weights = np.ones(len(x)) if counts is None else counts.astype(np.float64)
    mean = weights @ x / weights.sum()
    centred = x - mean
    return mean, (centred * weights[:, None]).T @ centred / (weights.sum() - 1)


def root(matrix: np.ndarray) -> np.ndarray:
    """Square root of a symmetric matrix whose eigenvalues below zero are rounding."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def frechet(a: Moments, b: Moments) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a^1/2 S_b S_a^1/2)^1/2)."""
    half = root(a[1])
    cross = np.sqrt(np.linalg.eigvalsh(half @ b[1] @ half).clip(0)).sum()
    return float(np.square(a[0] - b[0]).sum() + np.trace(a[1]) + np.trace(b[1]) - 2 * cross)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The Fréchet distance of features [N,D] and [M,D]; grows as N falls, so only equal N compare."""
    return frechet(moments(a), moments(b))


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(a.b / D + 1)^3 of features [N,D] and [M,D]."""
    return (a.astype(np.float64) @ b.astype(np.float64).T / a.shape[1] + 1) ** 3


def within(k: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of a kernel [N,N] over pairs of different images, taken `counts` [B,N] times each: [B]."""
    pairs = np.einsum("bi,bi->b", counts @ k, counts) - np.square(counts) @ np.diag(k)
    return pairs / (np.square(counts.sum(1)) - np.square(counts).sum(1))


def squared_discrepancy(
    aa: np.ndarray, bb: np.ndarray, ab: np.ndarray, counts_a: np.ndarray, counts_b: np.ndarray
) -> np.ndarray:
    """Unbiased squared maximum mean discrepancy, for each row of counts: [B]."""
    across = np.einsum("bi,bi->b", counts_a @ ab, counts_b) / (counts_a.sum(1) * counts_b.sum(1))
    return within(aa, counts_a) + within(bb, counts_b) - 2 * across


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The kernel distance (KID) of features [N,D] and [M,D], over all their pairs; unbiased, so it may be below 0."""
    ones = np.ones((1, len(a))), np.ones((1, len(b)))
    return float(squared_discrepancy(kernel(a, a), kernel(b, b), kernel(a, b), *ones)[0])


def estimates(a: np.ndarray, b: np.ndarray, resamples: int, seed: int) -> dict[str, Estimate]:
    """`fid` and `kid` of features [N,D] against [M,D] with 95 % intervals.

    The interval is value +- 1.96 SD over bootstrap resamples of both sets: percentiles would be those of the resampled
    distances, which are larger since a resample holds fewer different images. Not numbers below ten images.
    """
    if min(len(a), len(b)) < LEAST_IMAGES:
        return dict.fromkeys(("fid", "kid"), Estimate(math.nan, math.nan, math.nan, len(a)))
    random = np.random.default_rng(seed)
    counts = [random.multinomial(len(x), np.full(len(x), 1 / len(x)), resamples) for x in (a, b)]
    fids = [frechet(moments(a, p), moments(b, q)) for p, q in zip(*counts, strict=True)]
    kids = squared_discrepancy(kernel(a, a), kernel(b, b), kernel(a, b), *(c.astype(np.float64) for c in counts))
    found = {"fid": (frechet_distance(a, b), fids), "kid": (kernel_distance(a, b), kids)}
    return {
        name: Estimate(value, value - (half := NORMAL_95 * float(np.asarray(drawn).std(ddof=1))), value + half, len(a))
        for name, (value, drawn) in found.items()
    }

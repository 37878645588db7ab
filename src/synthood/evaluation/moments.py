"""Means and covariances of a bank of features, in pieces, so that a memory-mapped bank is never copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from synthood.common.lazy import F, Tensor, torch

ROWS = 1 << 12
"""Samples that are held at once: copies of their features stay near the processor's caches."""
BLOCKS = 8
"""Strips of a symmetric product, of which what lies above the diagonal is not computed."""
STRIP = 128
"""Their least width: thinner ones take longer than what they spare."""


class Moments:
    """Means and covariances (divided by N) of features [N,D] in float64, each made when first asked for.

    Two passes, the second around the classes' means: sums of raw squares would lose the directions in which training
    features hardly vary, and these matter most to a distance. `normalised` features are those over their norms.
    """

    def __init__(self, features: Tensor, labels: Tensor, normalised: bool = False) -> None:
        self.features, self.normalised = features, normalised
        self.classes, self.position = labels.unique(return_inverse=True)
        self.counts = torch.bincount(self.position, minlength=len(self.classes))

    def pieces(self) -> Iterator[tuple[slice, Tensor]]:
        """Places and features float64, in order."""
        for place, rows in pieces(self.features):
            yield place, F.normalize(rows.double()) if self.normalised else rows.double()

    @cached_property
    def means(self) -> Tensor:
        """Of each class that has a sample [K,D]."""
        sums = self.features.new_zeros((len(self.classes), self.features.shape[1]), dtype=torch.float64)
        for place, rows in self.pieces():
            sums.index_add_(0, self.position[place], rows)
        return sums / self.counts[:, None]

    @cached_property
    def mean(self) -> Tensor:
        """Of all samples [D]."""
        return self.shares @ self.means

    @property
    def shares(self) -> Tensor:
        """Of the samples in each class [K]."""
        return self.counts.double() / len(self.position)

    @cached_property
    def within(self) -> Tensor:
        """Covariance around the class means [D,D]."""
        sums = self.means.new_zeros((self.means.shape[1],) * 2)
        for place, rows in self.pieces():
            add_products(sums, rows - self.means[self.position[place]])
        return mirrored(sums) / len(self.position)

    @cached_property
    def total(self) -> Tensor:
        """Covariance around the mean of all [D,D]; a sum of what is never negative, so nothing cancels."""
        away = (self.means - self.mean) * self.shares.sqrt()[:, None]
        return self.within + away.T @ away

    @cached_property
    def within_whitening(self) -> Tensor:
        return pseudo_whitening(*torch.linalg.eigh(self.within))

    @cached_property
    def components(self) -> tuple[Tensor, Tensor]:
        """Variances [D], ascending, and principal directions [D,D] of all samples."""
        values, vectors = torch.linalg.eigh(self.total)
        return values, vectors


def principal_axes(features: Tensor, origin: Tensor) -> Tensor:
    """Eigenvectors float64 [D,D], least first, of the second moment of features float32 [N,D] about a point [D].

    Products of single precision: they blur only which of the directions that hardly vary is which, and these are taken
    together. Where distances along them count, `Moments` is exact.
    """
    mean, covariance = mean_and_covariance(lambda rows: rows, features)
    away = mean - origin
    return torch.linalg.eigh(covariance + away.outer(away)).eigenvectors


def mean_and_covariance(of: Callable[[Tensor], Tensor], features: Tensor) -> tuple[Tensor, Tensor]:
    """Of what `of` makes of the rows float32 [N,D], in float64 but for products of single precision: [K] and [K,K]."""
    mean = torch.stack([of(rows).sum(0) for _, rows in pieces(features)]).double().sum(0) / len(features)
    sums = mean.new_zeros((len(mean), len(mean)))
    for _, rows in pieces(features):
        products = rows.new_zeros(sums.shape)
        add_products(products, of(rows) - mean.to(rows))
        sums += products
    return mean, mirrored(sums) / len(features)


def pieces(values: Tensor, rows: int | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Places and values of at most `rows` rows (`ROWS` by default), in order."""
    step = rows or ROWS
    for start in range(0, len(values), step):
        place = slice(start, min(start + step, len(values)))
        yield place, values[place]


def by_pieces(of: Callable[[slice, Tensor], Tensor], values: Tensor) -> Tensor:
    """What `of` gives for each piece, one after the other in one tensor made beforehand.

    Small results between large temporaries would keep the allocator from using their memory again.
    """
    found: Tensor | None = None
    for place, rows in pieces(values):
        part = of(place, rows)
        if found is None:
            found = part.new_empty((len(values), *part.shape[1:]))
        found[place] = part
    assert found is not None, "features are never empty"
    return found


def add_products(sums: Tensor, rows: Tensor) -> None:
    """Adds rows^T rows [D,D] to the lower triangle of `sums`; above the diagonal some of it, too."""
    # Strips spare a third of a product in double precision; in single they cost more than the rest of it
    step = max(STRIP, -(-rows.shape[1] // BLOCKS)) if rows.dtype == torch.float64 else rows.shape[1]
    for start in range(0, rows.shape[1], step):
        strip = slice(start, start + step)
        sums[start:, strip] += rows[:, start:].T @ rows[:, strip]


def mirrored(sums: Tensor) -> Tensor:
    """The symmetric matrix of which the lower triangle is given."""
    return sums.tril() + sums.tril(-1).T


def pseudo_whitening(values: Tensor, vectors: Tensor) -> Tensor:
    """A with A A^T = S^+ for a symmetric S [D,D] of these eigenvalues and -vectors.

    Eigenvalues at rounding level count as zero, as in scipy's pinvh.
    """
    threshold = values.abs().max() * len(values) * torch.finfo(values.dtype).eps
    return vectors * torch.where(values > threshold, values.clamp(min=threshold).rsqrt(), 0.0)

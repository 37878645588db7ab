"""Detectors by Gaussian distances to class means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Count, Positive
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import GRID, Detector, Score, State, at_most
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import STRIP, Moments, by_pieces, pseudo_whitening

COMPONENTS = 50
EVEN = 1e4
"""How many times more than another a direction may be stretched in single precision."""


class Mds(Detector):
    """Minus the Mahalanobis distance to the nearest class mean, tied covariance.

    -min_c (h - mu_c)^T S^+ (h - mu_c), S the covariance within classes (equation 2).

    The pseudo-inverse drops null directions, by whitening, so no [N,N] matrix appears. OpenOOD centres features on
    class means in float32, and its pseudo-inverse keeps null directions in which that rounding varies: on features of
    less than full rank with a large mean its scores differ. The same in float64 agrees with ours.
    """

    kind: Literal["mds"] = "mds"

    paper = "arXiv 1807.03888"
    compared = "equal, but it divides null directions by 1e-6"
    inputs = ("features",)
    fitted_on = ("train",)
    labelled = True

    def state(self, reference: Reference) -> State:
        return class_distances(reference.moments)

    def scorer(self, state: State) -> Score:
        nearest = ClassDistance(state)
        return Score(lambda x: -nearest(x.features).float())


class Rmds(Detector):
    """Mahalanobis distance to all of the ID data minus the one to the nearest class.

    (h - mu)^T S_0^+ (h - mu) - min_c (h - mu_c)^T S^+ (h - mu_c) (negated).

    S_0 is the covariance of all training features; both with a pseudo-inverse, which keeps dead units out of it.
    """

    kind: Literal["rmds"] = "rmds"

    paper = "arXiv 2106.09022"
    compared = "as mds"
    inputs = ("features",)
    fitted_on = ("train",)
    labelled = True

    def state(self, reference: Reference) -> State:
        return class_distances(reference.moments) | {"total": pseudo_whitening(*reference.moments.components)}

    def scorer(self, state: State) -> Score:
        nearest, whitened = ClassDistance(state), Whitened(state["mean"], state["total"])
        return Score(lambda x: (whitened(x.features).square().sum(1) - nearest(x.features)).float())


class Whitened:
    """(h - mu) A [N,R] as float64, multiplied in the precision that A needs, or `exact`ly in double precision.

    A product in single precision errs by a rounding of h - mu in every direction, as float32 features do, and A
    stretches it: to no more than a thousandth of a standard deviation unless directions differ by more than `EVEN`.
    """

    def __init__(self, mean: Tensor, whitening: Tensor, exact: bool = False) -> None:
        stretch = whitening.norm(dim=0)
        kept = stretch > 0
        even = not exact and bool(kept.any()) and float(stretch.max() / stretch[kept].min()) <= EVEN
        self.exact = whitening
        self.whitening = whitening.to(torch.float32 if even else torch.float64)
        self.mean, self.away = mean.to(self.whitening.dtype), bool(mean.any())

    def __call__(self, features: Tensor) -> Tensor:
        return self._whitened(features).double()

    def squared_length(self, features: Tensor) -> Tensor:
        """Of each row [N], summed in the precision of the product."""
        centred, triangle = self._centred(features), self.triangle
        found = centred.new_zeros(centred.shape[0])
        for start in range(0, triangle.shape[1], STRIP):
            part = centred[:, start:] @ triangle[start:, start : start + STRIP]
            found += part.norm(dim=1).square()  # four times as fast as `vecdot`
        return found.double()

    @cached_property
    def triangle(self) -> Tensor:
        """T [D,R], nothing above its diagonal, with T T^T = A A^T: lengths need half of its product."""
        return torch.linalg.qr(self.exact.T).R.T.to(self.whitening.dtype).contiguous()

    def _whitened(self, features: Tensor) -> Tensor:
        return self._centred(features) @ self.whitening

    def _centred(self, features: Tensor) -> Tensor:
        return features - self.mean if self.away else features.to(self.mean)


class ClassDistance:
    """Squared Mahalanobis distance of features [N,D] to the nearest class mean, with the tied covariance's S^+."""

    def __init__(self, state: State, exact: bool = False) -> None:
        self.whitened = Whitened(state["mean"], state["within"], exact)
        self.anchors = (state["means"] - state["mean"]) @ state["within"]
        self.lengths = self.anchors.square().sum(1)

    def __call__(self, features: Tensor) -> Tensor:
        own = self.whitened(features)
        nearest = (self.lengths - 2 * own @ self.anchors.T).amin(1)
        return (own.square().sum(1) + nearest).clamp(min=0)


def class_distances(moments: Moments) -> State:
    """What `ClassDistance` is made from; raises where no class has two samples, so that all distances would be zero."""
    if int(moments.counts.max()) < 2:
        raise SynthoodError(
            "Mahalanobis distances: one training sample per class does not say how features vary within classes; give "
            "more, or take other detectors"
        )
    return {"mean": moments.mean, "means": moments.means, "within": moments.within_whitening}


class Gmm(Detector):
    """Log density of a Gaussian per class on the principal components.

    log sum_c pi_c N(z; mu_c, S_c + r I), z the principal components of h.

    A component per class, so nothing is iterated; r is `ridge` times the mean variance, so that a class of few samples
    has a density too.
    """

    kind: Literal["gmm"] = "gmm"
    dimension: Annotated[Count | None, GRID, Field(description="components; null: 50, or all if fewer")] = None
    ridge: Annotated[Positive, GRID, Field(description="added to each variance, in units of their mean")] = 1e-3

    paper = "arXiv 2204.05306"
    compared = "equal with ridge near 0"
    inputs = ("features",)
    fitted_on = ("train",)
    labelled = True
    limited_by = {"dimension": "features"}

    def state(self, reference: Reference) -> State:
        moments, width = reference.moments, reference.train.features.shape[1]
        if self.dimension is not None:
            at_most("gmm: dimension", self.dimension, width, "the features'")
        variances, vectors = moments.components
        kept = self.dimension or min(COMPONENTS, width)
        axes = vectors[:, width - kept :]
        project = Whitened(moments.mean, axes)
        components = by_pieces(lambda _, rows: project(rows), reference.train.features)
        floor = self.ridge * max(float(variances[width - kept :].mean()), torch.finfo(torch.float32).tiny)
        order = moments.position.argsort(stable=True)
        densities = [
            Density.of(own, len(own) / len(components), floor)
            for own in components[order].split(moments.counts.tolist())
        ]

        return {
            "mean": moments.mean,
            "axes": axes,
            "means": torch.stack([each.mean for each in densities]),
            "inverses": torch.stack([each.inverse.mT for each in densities]).mT,
            "constants": torch.tensor([each.constant for each in densities], dtype=torch.float64),
        }

    def scorer(self, state: State) -> Score:
        project = Whitened(state["mean"], state["axes"])
        fitted = zip(state["means"], state["inverses"], state["constants"].tolist(), strict=True)
        densities = [Density(*each) for each in fitted]

        def score(x: Features) -> Tensor:
            z = project(x.features)
            return torch.stack([density(z) for density in densities], 1).logsumexp(1).float()

        return Score(score)


@dataclass(frozen=True)
class Density:
    """Log of a share times a Gaussian density, its covariance S = L L^T as L^-1."""

    mean: Tensor
    inverse: Tensor
    constant: float

    @classmethod
    def of(cls, samples: Tensor, share: float, ridge: float) -> Density:
        """Fitted to samples [n,R], with `ridge` added to every variance."""
        mean = samples.mean(0)
        centred = samples - mean
        covariance = centred.T @ centred / len(samples)
        covariance.diagonal().add_(ridge)
        factor = torch.linalg.cholesky(covariance)
        inverse = torch.linalg.solve_triangular(
            factor, torch.eye(len(factor), dtype=factor.dtype, device=factor.device), upper=False
        )
        volume = float(factor.diagonal().log().sum()) + len(factor) / 2 * math.log(2 * math.pi)
        return cls(mean, inverse, math.log(share) - volume)

    def __call__(self, z: Tensor) -> Tensor:
        return self.constant - ((z - self.mean) @ self.inverse.T).square().sum(1) / 2

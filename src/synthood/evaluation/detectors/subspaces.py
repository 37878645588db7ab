"""Detectors by how much of a feature lies outside the space that training features span."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, torch
from synthood.common.seeds import generator
from synthood.common.settings import Count, Positive
from synthood.evaluation.detectors.base import (
    GRID,
    TINY,
    Detector,
    Grids,
    OutOfRangeError,
    Score,
    State,
    at_most,
    head_state,
)
from synthood.evaluation.detectors.distances import Whitened
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import add_products, mean_and_covariance, mirrored, pieces, pseudo_whitening

SMALLEST = 1e-12
CONSTANT = 2.0**-23
"""Deviation over the mean up to which a unit is constant."""
VARIANCE = 0.9
"""Share that a principal space holds by default."""


def minor_axes(reference: Reference, dimension: int, name: str) -> State:
    """u N and N: u = -W^+ b, N the minor eigenvectors of the training features around u."""
    width = reference.train.features.shape[1]
    if dimension >= width:
        raise OutOfRangeError(f"{name}: dimension {dimension} must be below the features' {width}; set it in detectors")
    origin, vectors = reference.axes
    minor = vectors[:, : width - dimension]
    return {"minor": minor.float(), "origin": (origin @ minor).float()}


def outside(features: Tensor, state: State) -> Tensor:
    """Norm [N] of (h - u) N."""
    found: Tensor = (features @ state["minor"]).sub_(state["origin"]).norm(dim=1)
    return found


class Residual(Detector):
    """Minus the norm of the feature's part outside the principal space.

    -||(h - u) N|| , fitted on training features; OpenOOD takes validation's.
    """

    kind: Literal["residual"] = "residual"
    dimension: Annotated[Count, GRID, Field(description="of the principal space; below the features'")] = 256

    paper = "arXiv 2203.10807"
    inputs = ("features", "head")
    fitted_on = ("train",)
    limited_by = {"dimension": "below features"}

    def state(self, reference: Reference) -> State:
        return minor_axes(reference, self.dimension, "residual")

    def confidence(self, x: Features, state: State) -> Tensor:
        return -outside(x.features, state)


class Vim(Detector):
    """Energy minus the scaled norm of the feature's part outside the principal space.

    lse(l) - alpha ||(h - u) N||, u = -W^+ b, N the minor eigenvectors (equations 4 to 7).

    alpha is the mean largest logit over the mean norm on training data; 0 where these have nothing outside.
    """

    kind: Literal["vim"] = "vim"
    dimension: Annotated[Count, GRID, Field(description="of the principal space; below the features' dimension")] = 256

    paper = "arXiv 2203.10807"
    compared = "equal"
    inputs = ("logits", "features", "head")
    fitted_on = ("train",)
    grid: ClassVar[Grids] = {"dimension": [256, 1000]}
    limited_by = {"dimension": "below features"}

    def state(self, reference: Reference) -> State:
        axes = minor_axes(reference, self.dimension, "vim")
        mean = average(lambda features: outside(features, axes), reference.train.features)
        alpha = average(lambda logits: logits.amax(1), reference.train.logits) / mean if mean > 0 else 0.0
        return axes | {"alpha": torch.tensor(alpha, dtype=torch.float64)}

    def confidence(self, x: Features, state: State) -> Tensor:
        return x.logits.logsumexp(1) - float(state["alpha"]) * outside(x.features, state)


class Pnml(Detector):
    """Minus the regret of the predictive normalised maximum likelihood learner.

    -log sum_c p_c / (p_c + (1 - p_c) p_c^g), over log C: the regret.

    g = k / (1 + k), k = z^T (Z^T Z)^+ z with z = h / ||h||, Z the training features' z, and p the head's softmax of z.
    """

    kind: Literal["pnml"] = "pnml"

    paper = "arXiv 2110.09246"
    compared = "equal"
    inputs = ("features", "head")
    fitted_on = ("train",)

    def state(self, reference: Reference) -> State:
        features, width = reference.train.features, reference.train.features.shape[1]
        sums = features.new_zeros((width, width), dtype=torch.float64)
        for _, rows in pieces(features):
            add_products(sums, F.normalize(rows).double())
        return head_state(reference) | {"whitening": pseudo_whitening(*torch.linalg.eigh(mirrored(sums)))}

    def scorer(self, state: State) -> Score:
        weight, bias, whitening = state["weight"], state["bias"], state["whitening"]
        whitened = Whitened(whitening.new_zeros(len(whitening)), whitening)
        classes = torch.tensor(float(len(weight)), dtype=torch.float64)

        def score(x: Features) -> Tensor:
            lengths = x.features.norm(dim=1, keepdim=True).clamp(min=SMALLEST)
            outside = whitened.squared_length(x.features)[:, None] / lengths.double().square()
            logits = F.linear(x.features, weight) / lengths + bias
            p = logits.double().softmax(1).clamp(SMALLEST, 1 - SMALLEST)
            regret = p / (p + (1 - p) * p.pow(outside / (1 + outside)))
            return -(regret.sum(1).log() / classes.log()).float()

        return Score(score)


class Neco(Detector):
    """Share of a feature's norm in the principal space, times the largest logit.

    ||P z|| / ||z|| max_c l_c, P the first principal axes of the training features' z (equation 6).

    As released, z is the feature standardised by training data, and `max_logit` is left out for ResNets; the formula of
    the paper has z = h. Without a `dimension`, as many axes as hold 90 % of the variance, as the release of
    Mahalanobis++ chooses them; the paper gives one for each of its networks.
    """

    kind: Literal["neco"] = "neco"
    dimension: Annotated[
        Count | None, GRID, Field(description="of the principal space; null: that of 90 % of the variance")
    ] = None
    standardised: Annotated[bool, GRID, Field(description="false: of features as they are")] = True
    max_logit: Annotated[bool, GRID, Field(description="whether the share is multiplied by the largest logit")] = True

    paper = "arXiv 2310.06823"
    inputs = ("logits", "features")
    fitted_on = ("train",)
    limited_by = {"dimension": "features"}

    def state(self, reference: Reference) -> State:
        moments = reference.moments
        scale, mean = torch.ones_like(moments.mean), torch.zeros_like(moments.mean)
        if self.dimension is not None:
            at_most("neco: dimension", self.dimension, len(mean), "the features'")
        variances, vectors = moments.components
        if self.standardised:
            mean, deviation = moments.mean, moments.total.diagonal().sqrt()
            # A constant unit has a deviation of rounding
            scale = torch.where(deviation > CONSTANT * mean.abs(), 1 / deviation.clamp(min=TINY), 1.0)
            variances, vectors = torch.linalg.eigh(moments.total * scale.outer(scale))
        kept = self.dimension or holding(variances, VARIANCE)
        return {"mean": mean, "scale": scale, "axes": vectors[:, len(mean) - kept :].contiguous()}

    def confidence(self, x: Features, state: State) -> Tensor:
        # In double precision: standardising loses digits where the mean of a unit is far above its deviation
        z = (x.features - state["mean"]) * state["scale"]
        share = (z @ state["axes"]).norm(dim=1) / z.norm(dim=1).clamp(min=TINY)
        return (share * x.logits.amax(1) if self.max_logit else share).float()


class Kpca(Detector):
    """Minus the reconstruction error of kernel principal components.

    -||(phi - mu) - U U^T (phi - mu)||, mu the training mean of phi, U the principal axes that hold `variance` of it.

    phi is z = h / ||h|| for the cosine kernel (CoP), or sqrt(2 / M) cos(sqrt(2 gamma) A z + u) for the Gaussian kernel
    of cosines (CoRP): random Fourier features with A standard normal and u uniform over a turn, from a fixed seed.
    """

    kind: Literal["kpca"] = "kpca"
    kernel: Annotated[
        Literal["cosine", "cosine-gaussian"], GRID, Field(description="cosine: CoP; cosine-gaussian: CoRP")
    ] = "cosine-gaussian"
    variance: Annotated[
        float, Field(gt=0, lt=1), GRID, Field(description="share that the principal axes hold, at least")
    ] = 0.8
    gamma: Annotated[Positive, GRID, Field(description="of the Gaussian kernel exp(-gamma ||z - z'||^2)")] = 2.0
    directions: Annotated[Count, GRID, Field(description="M, random Fourier features")] = 2048

    paper = "arXiv 2402.02949"
    inputs = ("features",)
    fitted_on = ("train",)

    def state(self, reference: Reference) -> State:
        if self.kernel == "cosine":
            state: State = {}
            mean, (variances, vectors) = reference.direction_moments.mean, reference.direction_moments.components
        else:
            features, random = reference.train.features, generator("kpca", self.directions)
            normal = torch.randn((self.directions, features.shape[1]), generator=random)
            turns = 2 * math.pi * torch.rand(self.directions, generator=random)
            # Part of the state, since generators differ between versions and processors
            state = {
                "frequencies": (math.sqrt(2 * self.gamma) * normal).to(features.device),
                "turns": turns.to(features.device),
            }
            mean, covariance = mean_and_covariance(lambda rows: self.mapped(rows, state), features)
            variances, vectors = torch.linalg.eigh(covariance)
        axes = vectors[:, len(mean) - holding(variances, self.variance) :]
        return state | {"mean": mean.float(), "axes": axes.float()}

    def mapped(self, features: Tensor, state: State) -> Tensor:
        """phi [N,K] of features [N,D]."""
        z = F.normalize(features)
        if self.kernel == "cosine":
            return z
        waves: Tensor = F.linear(z, state["frequencies"], state["turns"]).cos_()
        return waves.mul_(math.sqrt(2 / self.directions))

    def confidence(self, x: Features, state: State) -> Tensor:
        centred = self.mapped(x.features, state).sub_(state["mean"])
        return -(centred - (centred @ state["axes"]) @ state["axes"].T).norm(dim=1)


def holding(variances: Tensor, share: float) -> int:
    """How many of the largest of variances [D], ascending, hold a share of their sum; at least one."""
    held = variances.clamp(min=0).flip(0).cumsum(0)
    return int((held < share * held[-1]).sum().clamp(max=len(held) - 1)) + 1


def average(of: Callable[[Tensor], Tensor], values: Tensor) -> float:
    """Mean over the rows [N] of what `of` gives each."""
    return sum(float(of(rows).double().sum()) for _, rows in pieces(values)) / len(values)

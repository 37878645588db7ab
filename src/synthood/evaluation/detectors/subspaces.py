"""Detectors by how much of a feature lies outside the space that training features span."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, torch
from synthood.common.settings import Count
from synthood.evaluation.detectors.base import GRID, Detector, Grids, OutOfRangeError, Score, State, head_state
from synthood.evaluation.detectors.distances import Whitened
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import add_products, mirrored, pieces, pseudo_whitening

SMALLEST = 1e-12


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


def average(of: Callable[[Tensor], Tensor], values: Tensor) -> float:
    """Mean over the rows [N] of what `of` gives each."""
    return sum(float(of(rows).double().sum()) for _, rows in pieces(values)) / len(values)

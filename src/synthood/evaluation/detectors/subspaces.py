"""Detectors by how much of a feature lies outside the space that training features span."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.evaluation.detectors.base import OutOfRangeError, Score
from synthood.evaluation.detectors.distances import Whitened
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import add_products, mirrored, pieces, pseudo_whitening

SMALLEST = 1e-12


class Outside:
    """Norm [N] of (h - u) N: u = -W^+ b, N the minor eigenvectors of the training features around u."""

    def __init__(self, reference: Reference, dimension: int, name: str) -> None:
        width = reference.train.features.shape[1]
        if dimension >= width:
            raise OutOfRangeError(
                f"{name}: dimension {dimension} must be below the features' {width}; set it in detectors"
            )
        origin, vectors = reference.axes
        minor = vectors[:, : width - dimension]
        self.minor, self.origin = minor.float(), (origin @ minor).float()

    def __call__(self, features: Tensor) -> Tensor:
        return (features @ self.minor).sub_(self.origin).norm(dim=1)


def residual(reference: Reference, dimension: int = 256) -> Score:
    """-||(h - u) N|| (arXiv 2203.10807), fitted on training features; OpenOOD takes validation's."""
    outside = Outside(reference, dimension, "residual")
    return lambda x: -outside(x.features)


def vim(reference: Reference, dimension: int = 256) -> Score:
    """lse(l) - alpha ||(h - u) N||, u = -W^+ b, N the minor eigenvectors (arXiv 2203.10807, equations 4 to 7).

    alpha is the mean largest logit over the mean norm on training data; 0 where these have nothing outside.
    """
    outside = Outside(reference, dimension, "vim")
    mean = average(outside, reference.train.features)
    alpha = average(lambda logits: logits.amax(1), reference.train.logits) / mean if mean > 0 else 0.0
    return lambda x: x.logits.logsumexp(1) - alpha * outside(x.features)


def pnml(reference: Reference) -> Score:
    """-log sum_c p_c / (p_c + (1 - p_c) p_c^g), over log C: the regret (arXiv 2110.09246).

    g = k / (1 + k), k = z^T (Z^T Z)^+ z with z = h / ||h||, Z the training features' z, and p the head's softmax of z.
    """
    features, width = reference.train.features, reference.train.features.shape[1]
    sums = features.new_zeros((width, width), dtype=torch.float64)
    for _, rows in pieces(features):
        add_products(sums, F.normalize(rows).double())
    whitened = Whitened(sums.new_zeros(width), pseudo_whitening(*torch.linalg.eigh(mirrored(sums))))
    classes = torch.tensor(float(reference.weight.shape[0]), dtype=torch.float64)

    def score(x: Features) -> Tensor:
        lengths = x.features.norm(dim=1, keepdim=True).clamp(min=SMALLEST)
        outside = whitened.squared_length(x.features)[:, None] / lengths.double().square()
        logits = F.linear(x.features, reference.weight) / lengths + reference.bias
        p = logits.double().softmax(1).clamp(SMALLEST, 1 - SMALLEST)
        regret = p / (p + (1 - p) * p.pow(outside / (1 + outside)))
        return -(regret.sum(1).log() / classes.log()).float()

    return score


def average(of: Callable[[Tensor], Tensor], values: Tensor) -> float:
    """Mean over the rows [N] of what `of` gives each."""
    return sum(float(of(rows).double().sum()) for _, rows in pieces(values)) / len(values)

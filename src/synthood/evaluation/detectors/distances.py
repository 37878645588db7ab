"""Detectors by Gaussian distances to class means."""

import math

import torch
from torch import Tensor

from synthood.evaluation.detectors.base import Score, at_most
from synthood.evaluation.features import Features, Reference

COMPONENTS = 50


def mds(reference: Reference) -> Score:
    """-min_c (h - mu_c)^T S^+ (h - mu_c), S the covariance within classes (arXiv 1807.03888, equation 2).

    The pseudo-inverse drops null directions, as OpenOOD does; by whitening, so no [N,N] matrix appears.
    """
    nearest = ClassDistance(reference.train)
    return lambda x: -nearest(x.features.double()).float()


def rmds(reference: Reference) -> Score:
    """(h - mu)^T S_0^+ (h - mu) - min_c (h - mu_c)^T S^+ (h - mu_c) (arXiv 2106.09022, negated).

    S_0 is the covariance of all training features; both with a pseudo-inverse, which keeps dead units out of it.
    """
    nearest = ClassDistance(reference.train)
    features = reference.train.features.double()
    mean = features.mean(0)
    centred = features - mean
    whitening = pseudo_whitening(centred.T @ centred / len(centred))

    def score(x: Features) -> Tensor:
        own = x.features.double()
        return (((own - mean) @ whitening).square().sum(1) - nearest(own)).float()

    return score


class ClassDistance:
    """Squared Mahalanobis distance of features [N,D] to the nearest class mean, with the tied covariance's S^+."""

    def __init__(self, train: Features) -> None:
        features, (classes, position) = train.features.double(), train.labels.unique(return_inverse=True)
        sums = features.new_zeros((len(classes), features.shape[1])).index_add_(0, position, features)
        means = sums / torch.bincount(position)[:, None]
        centred = features - means[position]
        self.whitening = pseudo_whitening(centred.T @ centred / len(centred))
        self.anchors = means @ self.whitening

    def __call__(self, features: Tensor) -> Tensor:
        return torch.cdist(features @ self.whitening, self.anchors).square().amin(1)


def gmm(reference: Reference, dimension: int | None = None, ridge: float = 1e-3) -> Score:
    """log sum_c pi_c N(z; mu_c, S_c + r I), z the principal components of h (arXiv 2204.05306).

    A component per class, so nothing is iterated; r is `ridge` times the mean variance, so that a class of few samples
    has a density too.
    """
    train = reference.train
    features, (classes, position) = train.features.double(), train.labels.unique(return_inverse=True)
    width = features.shape[1]
    if dimension is not None:
        at_most("gmm: dimension", dimension, width, "the features'")
    mean = features.mean(0)
    _, vectors = torch.linalg.eigh((features - mean).T @ (features - mean) / len(features))
    axes = vectors[:, width - (dimension or min(COMPONENTS, width)) :]
    components = (features - mean) @ axes
    floor = ridge * max(float(components.var(0, correction=0).mean()), torch.finfo(torch.float32).tiny)
    parts = []
    for index in range(len(classes)):
        own = components[position == index]
        centred = own - own.mean(0)
        covariance = centred.T @ centred / len(own)
        covariance.diagonal().add_(floor)
        factor = torch.linalg.cholesky(covariance)
        constant = math.log(len(own) / len(features)) - float(factor.diagonal().log().sum())
        inverse = torch.linalg.solve_triangular(factor, torch.eye(len(factor), dtype=factor.dtype), upper=False)
        parts.append((own.mean(0), inverse.T, constant - axes.shape[1] / 2 * math.log(2 * math.pi)))

    def score(x: Features) -> Tensor:
        z = (x.features.double() - mean) @ axes
        densities = [constant - ((z - centre) @ inverse).square().sum(1) / 2 for centre, inverse, constant in parts]
        return torch.stack(densities, 1).logsumexp(1).float()

    return score


def pseudo_whitening(covariance: Tensor) -> Tensor:
    """A with A A^T = S^+ for a symmetric S [D,D]; eigenvalues at rounding level count as zero, as in scipy's pinvh."""
    values, vectors = torch.linalg.eigh(covariance)
    threshold = values.abs().max() * len(values) * torch.finfo(values.dtype).eps
    return vectors * torch.where(values > threshold, values.clamp(min=threshold).rsqrt(), 0.0)

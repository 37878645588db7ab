"""Detectors as pure functions: fitted on a reference, they score features; confidence is larger for ID."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.settings import Detector, Energy, Knn, Mds, Msp, React, Vim

Score = Callable[[Features], Tensor]
"""Features of N samples to confidence float32 [N]."""
CHUNK = 2048
"""Test samples whose distances to the whole bank are held at once."""


def msp(settings: Msp, reference: Reference) -> Score:
    """max_c p_c (arXiv 1610.02136, section 2)."""
    return lambda x: x.logits.softmax(1).amax(1)


def energy(settings: Energy, reference: Reference) -> Score:
    """T log sum_c exp(l_c / T) (arXiv 2010.03759, equation 4, negated)."""
    temperature = settings.temperature
    return lambda x: temperature * (x.logits / temperature).logsumexp(1)


def knn(settings: Knn, reference: Reference) -> Score:
    """-||z - z_(k)||^2 with z = h / ||h|| and the k-th nearest training feature (arXiv 2204.06507, equation 2)."""
    bank = F.normalize(reference.train.features)
    squares = bank.square().sum(1)
    if settings.k > len(bank):
        raise SynthoodError(f"knn: k {settings.k} is larger than the bank of {len(bank)} training features")

    def score(x: Features) -> Tensor:
        queries = F.normalize(x.features)
        nearest = [(2 * q @ bank.T - squares).topk(settings.k).values[:, -1] for q in queries.split(CHUNK)]
        return (torch.cat(nearest) - queries.square().sum(1)).clamp(max=0)

    return score


def mds(settings: Mds, reference: Reference) -> Score:
    """-min_c (h - mu_c)^T S^+ (h - mu_c), S the covariance within classes (arXiv 1807.03888, equation 2).

    The pseudo-inverse drops null directions, as OpenOOD does; by whitening, so no [N,N] matrix appears.
    """
    train = reference.train
    features = train.features.double()
    means = torch.stack([features[train.labels == label].mean(0) for label in train.labels.unique()])
    position = torch.searchsorted(train.labels.unique(), train.labels)
    centred = features - means[position]
    whitening = pseudo_whitening(centred.T @ centred / len(centred))
    anchors = means @ whitening
    return lambda x: -torch.cdist(x.features.double() @ whitening, anchors).square().amin(1).float()


def vim(settings: Vim, reference: Reference) -> Score:
    """lse(l) - alpha ||(h - u) N||, u = -W^+ b, N the minor eigenvectors (arXiv 2203.10807, equations 4 to 7)."""
    features = reference.train.features.double()
    if settings.dimension >= features.shape[1]:
        raise SynthoodError(
            f"vim: dimension {settings.dimension} must be below the features' {features.shape[1]}; set it in detectors"
        )
    origin = -torch.linalg.pinv(reference.weight.double()) @ reference.bias.double()
    centred = features - origin
    _, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    minor = vectors[:, : features.shape[1] - settings.dimension]
    residual = (centred @ minor).norm(dim=1)
    alpha = reference.train.logits.double().amax(1).mean() / residual.mean()

    def score(x: Features) -> Tensor:
        outside = ((x.features.double() - origin) @ minor).norm(dim=1)
        return (x.logits.double().logsumexp(1) - alpha * outside).float()

    return score


def react(settings: React, reference: Reference) -> Score:
    """lse(W min(h, c) + b), c a percentile of all validation activations (arXiv 2111.12797, equation 5)."""
    activations = reference.val.features.flatten().sort().values
    position = settings.percentile / 100 * (len(activations) - 1)
    low = activations[int(position)]
    high = activations[min(int(position) + 1, len(activations) - 1)]
    bound = low + (high - low) * (position - int(position))
    return lambda x: F.linear(x.features.clamp(max=bound), reference.weight, reference.bias).logsumexp(1)


def pseudo_whitening(covariance: Tensor) -> Tensor:
    """A with A A^T = S^+ for a symmetric S [D,D]; eigenvalues at rounding level count as zero, as in scipy's pinvh."""
    values, vectors = torch.linalg.eigh(covariance)
    threshold = values.abs().max() * len(values) * torch.finfo(values.dtype).eps
    return vectors * torch.where(values > threshold, values.clamp(min=threshold).rsqrt(), 0.0)


FITS: dict[type, Callable[..., Score]] = {Msp: msp, Energy: energy, Knn: knn, Mds: mds, Vim: vim, React: react}


def fit(settings: Detector, reference: Reference) -> Score:
    """The score function of one detector, fitted on the reference alone."""
    return FITS[type(settings)](settings, reference)

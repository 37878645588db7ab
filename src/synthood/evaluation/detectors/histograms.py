"""Detectors that count: in which bins a sample's values fall, and where those of training data fell."""

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.common.seeds import generator
from synthood.evaluation.detectors.base import Score
from synthood.evaluation.features import Features, Reference, parts

VALUES = 1 << 24
"""Perturbed logits that are held at once."""
FLOORS = (0.01, 0.025)
"""What is added to a bin of a sample's features and of its perturbed logits, as in the released code."""


def weiper(
    reference: Reference,
    distance: float = 2.1,
    repeats: int = 100,
    bins: int = 100,
    smoothing: int = 20,
    logits: float = 1.0,
    msp: float = 1.0,
) -> Score:
    """-(D(features) + `logits` D(perturbed logits) - `msp` max_c p_c averaged over perturbations) (arXiv 2405.17164).

    D is the symmetric divergence of a sample's smoothed histogram from the mean one of training data. A perturbation
    adds to each class's weights a random direction of `distance` times their length; directions come from a fixed seed.
    """
    classes, width = reference.weight.shape
    noise = torch.randn((repeats, classes, width), generator=generator("weiper", repeats)).to(reference.weight.device)
    noise = F.normalize(noise, dim=2) * distance * reference.weight.norm(dim=1, keepdim=True)
    weights, bias = (reference.weight + noise).flatten(0, 1), reference.bias.repeat(repeats)
    rows = max(1, VALUES // len(weights))

    def perturbed(features: Tensor) -> Tensor:
        return F.linear(features, weights, bias)

    train = reference.train.features
    pieces = train.split(rows)
    spans = [span([torch.stack(torch.aminmax(make(p))) for p in pieces]) for make in (torch.Tensor.float, perturbed)]
    means = [
        torch.stack([histogram(make(p), bins, *bounds).sum(0) for p in pieces]).sum(0) / len(train)
        for make, bounds in zip((torch.Tensor.float, perturbed), spans, strict=True)
    ]

    def score(features: Tensor) -> Tensor:
        values = perturbed(features)
        sure = values.view(len(features), repeats, classes).softmax(2).amax(2).mean(1)
        own, other = (
            divergence(mean, smoothed(histogram(x, bins, *bounds), smoothing), floor)
            for mean, x, bounds, floor in zip(means, (features, values), spans, FLOORS, strict=True)
        )
        return msp * sure - own - logits * other

    return lambda x: torch.cat([score(part) for part in x.features.split(rows)])


def nac(reference: Reference, bins: int = 50, steepness: float = 100.0, enough: float = 50.0) -> Score:
    """Mean over units of min(1, n / `enough`), n training samples in the bin of the unit's state (arXiv 2306.02879).

    The state is sigmoid(`steepness` h_d g_d), g the gradient in h of KL(uniform || p): W^T (p - 1 / C), so no backward
    pass is needed for the penultimate layer, the only one that features hold.
    """
    classes, width = reference.weight.shape
    offsets = torch.arange(width, device=reference.weight.device) * bins

    def cells(x: Features) -> Tensor:
        gradient = (x.logits.softmax(1) - 1 / classes) @ reference.weight
        states = (steepness * x.features * gradient).sigmoid()
        return (states * bins).long().clamp(max=bins - 1) + offsets

    counts = offsets.new_zeros(width * bins)
    for rows in parts(reference.train):
        counts += torch.bincount(cells(rows).flatten(), minlength=width * bins)
    coverage = (counts / enough).clamp(max=1.0)
    return lambda x: coverage[cells(x)].mean(1)


def histogram(values: Tensor, bins: int, low: float, high: float) -> Tensor:
    """Shares [N,bins] of each row's values in bins of equal width; values beyond the ends count at the ends."""
    position = ((values - low) * (bins / (high - low))).long().clamp(0, bins - 1)
    counts = values.new_zeros((len(values), bins))
    return counts.scatter_add_(1, position, torch.ones_like(values)) / values.shape[1]


def smoothed(shares: Tensor, size: int) -> Tensor:
    """Each bin as the mean of `size` bins around it, nothing beyond the ends."""
    padded = F.pad(shares, ((size - 1) // 2, size // 2))
    return F.avg_pool1d(padded[:, None], size, stride=1)[:, 0]


def divergence(mean: Tensor, shares: Tensor, floor: float) -> Tensor:
    """KL(p || q) + KL(q || p) of the mean [bins] and each row [N,bins], after `floor` is added to every bin."""
    p, q = (mean + floor) / (mean + floor).sum(), (shares + floor) / (shares + floor).sum(1, keepdim=True)
    return ((p - q) * (p.log() - q.log())).sum(1)


def span(ends: list[Tensor]) -> tuple[float, float]:
    """Smallest and largest of several, a little apart where they are equal."""
    low, high = (float(end) for end in torch.stack(ends).aminmax())
    return low, max(high, low + 1e-6 * max(1.0, abs(low)))

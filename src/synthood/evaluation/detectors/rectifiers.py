"""Detectors that change features, weights or logits first, and then take any score of logits."""

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.evaluation.detectors import logits
from synthood.evaluation.detectors.base import OutOfRangeError, Score, at_percentile, head_logits
from synthood.evaluation.features import Features, Reference, parts

LOGIT_SCORES: dict[str, Callable[[Reference], Score]] = {
    "msp": logits.msp,
    "mls": logits.mls,
    "energy": logits.energy,
    "temperature": logits.temperature,
    "entropy": logits.entropy,
    "gen": logits.gen,
    "klm": logits.klm,
    "openmax": logits.openmax,
}
FITTED_ON_VAL, FITTED_ON_TRAIN = ("temperature", "klm"), ("openmax",)


def rectified(change: Callable[[Features], Tensor], score: str, reference: Reference) -> Score:
    """`score` of the logits [N,C] that `change` makes, fitted on reference data changed alike."""

    def changed(x: Features) -> Features:
        return replace(x, logits=change(x))

    if score in FITTED_ON_VAL:
        reference = replace(reference, val=changed(reference.val))
    if score in FITTED_ON_TRAIN:
        logits = torch.cat([change(rows) for rows in parts(reference.train)])
        reference = replace(reference, train=replace(reference.train, logits=logits))
    inner = LOGIT_SCORES[score](reference)
    return lambda x: inner(changed(x))


def react(reference: Reference, percentile: float = 90.0, score: str = "energy") -> Score:
    """Logits of min(h, c), c a percentile of all ID validation activations (arXiv 2111.12797, equation 5)."""
    bound = at_percentile(reference.val.features, percentile)
    return rectified(lambda x: head_logits(x.features.clamp(max=bound), reference), score, reference)


def vra(reference: Reference, low: float = 10.0, high: float = 90.0, score: str = "energy") -> Score:
    """Logits of h between two percentiles of all ID validation activations (arXiv 2302.11716).

    One pair of bounds for all units, as OpenOOD has it; pytorch-ood fits a pair per unit.
    """
    if low >= high:
        raise OutOfRangeError(f"vra: low {low:g} is not below high {high:g}; set them in detectors")
    least, most = (at_percentile(reference.val.features, p) for p in (low, high))
    return rectified(lambda x: head_logits(x.features.clamp(least, most), reference), score, reference)


def ash(reference: Reference, variant: str = "b", percentile: float = 90.0, score: str = "energy") -> Score:
    """Logits of a sample's largest features: kept (p), set to sum(h) / k (b), or times exp(s1 / s2) (s).

    s1 sums all features, s2 the k largest (arXiv 2209.09858). Pooled features, so the default is
    OpenOOD's; pytorch-ood prunes 65 % and scales (s).
    """
    for rows in parts(reference.train):
        non_negative(rows.features, "ash")
    keep = kept(reference.weight.shape[1], percentile)

    def change(x: Features) -> Tensor:
        h = non_negative(x.features, "ash")
        largest = h.topk(keep, sorted=False)
        values = largest.values
        if variant == "b":
            values = (h.sum(1, keepdim=True) / keep).expand_as(values)
        elif variant == "s":
            values = values * ratio(h, values).exp()
        return head_logits(h.new_zeros(h.shape).scatter_(1, largest.indices, values), reference)

    return rectified(change, score, reference)


def scale(reference: Reference, percentile: float = 85.0, score: str = "energy") -> Score:
    """Logits of h exp(s1 / s2), s1 the sum of all features and s2 of the largest (arXiv 2310.00227)."""
    for rows in parts(reference.train):
        non_negative(rows.features, "scale")
    keep = kept(reference.weight.shape[1], percentile)

    def change(x: Features) -> Tensor:
        h = non_negative(x.features, "scale")
        return head_logits(h * ratio(h, h.topk(keep, sorted=False).values).exp(), reference)

    return rectified(change, score, reference)


def lts(reference: Reference, share: float = 0.05, score: str = "energy") -> Score:
    """l (s1 / s2)^2, s1 the sum of all rectified features and s2 of the largest (arXiv 2409.01175)."""
    keep = kept(reference.weight.shape[1], 100 * (1 - share))

    def change(x: Features) -> Tensor:
        h = x.features.relu()
        return x.logits * ratio(h, h.topk(keep, sorted=False).values).square()

    return rectified(change, score, reference)


def dice(reference: Reference, percentile: float = 90.0, score: str = "energy") -> Score:
    """Logits with the weights whose mean contribution W_cd mean(h_d) is above a percentile (arXiv 2111.09805)."""
    contribution = reference.weight * reference.moments.mean.float()
    sparse = reference.weight * (contribution > at_percentile(contribution, percentile))
    return rectified(lambda x: F.linear(x.features, sparse, reference.bias), score, reference)


def kept(width: int, percent: float) -> int:
    """How many of `width` features are not pruned, at least one."""
    return max(1, width - round(width * percent / 100))


def ratio(features: Tensor, largest: Tensor) -> Tensor:
    """Sum of all features over the sum of the largest [N,1]; 1 for a sample without any activation."""
    part = largest.sum(1, keepdim=True)
    return (features.sum(1, keepdim=True) / part.where(part > 0, 1)).where(part > 0, 1)


def non_negative(features: Tensor, name: str) -> Tensor:
    """The features; raises where one is negative."""
    if (features < 0).any():
        raise SynthoodError(f"{name}: features below zero; it needs a network whose features come out of a ReLU")
    return features

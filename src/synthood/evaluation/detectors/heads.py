"""Detectors that look at a feature beside the head's weights or the predicted class's mean."""

import torch
from torch import Tensor

from synthood.evaluation.detectors.base import TINY, Score, class_means
from synthood.evaluation.features import Features, Reference


def gradnorm(reference: Reference, temperature: float = 1.0) -> Score:
    """||h||_1 sum_c |1 - C p_c|: the L1 norm of the gradient that cross-entropy to uniform has in W.

    arXiv 2110.00218, times C as in OpenOOD; no backward pass, since the gradient is an outer product.
    """
    classes = reference.weight.shape[0]

    def score(x: Features) -> Tensor:
        p = (x.logits / temperature).softmax(1)
        return x.features.abs().sum(1) * (1 - classes * p).abs().sum(1)

    return score


def she(reference: Reference) -> Score:
    """<h, m_c>, m_c the mean of training features rightly classified as the prediction c (Zhang et al., ICLR 2023)."""
    train, classes = reference.train, reference.weight.shape[0]
    means = class_means(train.features, train.labels, train.logits.argmax(1), classes).float()
    return lambda x: (x.features * means[x.logits.argmax(1)]).sum(1)


def nci(reference: Reference, alpha: float = 1e-4) -> Score:
    """<w_c, h - mu> / ||h - mu|| + alpha ||h||_1, c the prediction (arXiv 2311.01479)."""
    mean = reference.moments.mean.float()

    def score(x: Features) -> Tensor:
        centred = x.features - mean
        along = (centred * reference.weight[x.logits.argmax(1)]).sum(1)
        return along / centred.norm(dim=1).clamp(min=TINY) + alpha * x.features.abs().sum(1)

    return score


def fdbd(reference: Reference, centred: bool = True) -> Score:
    """Mean over c of |l_c - l_max| / ||w_c - w_max||, over ||h - mu||, or over ||h|| (arXiv 2312.11536).

    Classes with equal weights have no boundary between them and add nothing.
    """
    mean = reference.moments.mean.float() if centred else reference.weight.new_zeros(reference.weight.shape[1])
    gaps = torch.cdist(reference.weight, reference.weight, compute_mode="donot_use_mm_for_euclid_dist")
    inverse = torch.where(gaps > 0, 1 / gaps.clamp(min=TINY), 0.0)

    def score(x: Features) -> Tensor:
        largest, predicted = x.logits.max(1)
        boundaries = ((largest[:, None] - x.logits) * inverse[predicted]).sum(1) / (len(inverse) - 1)
        return boundaries / (x.features - mean).norm(dim=1).clamp(min=TINY)

    return score

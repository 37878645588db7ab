"""Figures of a set of synthetic images: agreement with a judge, diversity, closeness to training images."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.errors import SynthoodError

COPY_PERCENTILE = 1.0
SURE = 0.9
"""Posterior from which a judge is called sure of a class."""


def agreement(logits: Tensor, labels: Tensor) -> float:
    """Share of images whose intended label a judge gives them."""
    return float((logits.argmax(1) == labels).float().mean())


def as_points(images: np.ndarray) -> Tensor:
    """Images uint8 [N,H,W,3] as float32 [N,3,H,W] in [-1,1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def within_class_distance(images: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of the mean L2 distance between two images of a class, pixels in [-1,1]."""
    points = as_points(images).flatten(1)
    means = [
        float(torch.pdist(points[torch.from_numpy(labels == label)]).mean())
        for label in np.unique(labels)
        if (labels == label).sum() > 1
    ]
    if not means:
        raise SynthoodError("diversity needs two images of a class; set assess.images to at least twice the classes")
    return float(np.mean(means))


def nearest_training_image(images: np.ndarray, training: np.ndarray, shift: int) -> tuple[Tensor, Tensor]:
    """Least L2 distance [N] of each image to any training image moved by up to `shift` pixels, and its index [N]."""
    queries, bank = as_points(images).flatten(1), as_points(training)
    padded = F.pad(bank, (shift,) * 4, mode="replicate")
    height, width = bank.shape[2:]
    best = torch.full((len(queries),), torch.inf)
    index = torch.zeros(len(queries), dtype=torch.int64)
    for top in range(2 * shift + 1):
        for left in range(2 * shift + 1):
            moved = padded[:, :, top : top + height, left : left + width].flatten(1)
            distance, nearest = torch.cdist(queries, moved).min(1)
            index = torch.where(distance < best, nearest, index)
            best = torch.minimum(best, distance)
    return best, index


def copy_share(distances: Tensor, held_out: Tensor) -> float:
    """Share of images nearer to the training set than the 1st percentile of held-out real images is."""
    return float((distances < torch.quantile(held_out, COPY_PERCENTILE / 100)).float().mean())


def judged_shares(posteriors: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Shares of images that keep the intended class, become another ID class, and become one surely.

    posteriors [N,C] of the judge, intended labels int64 [N]; not a number where there are no images.
    """
    if not len(labels):
        return dict.fromkeys(("intended_share", "other_class_share", "surely_other_class_share"), float("nan"))
    prediction, confidence = posteriors.argmax(1), posteriors.max(1)
    other = prediction != labels
    return {
        "intended_share": float((~other).mean()),
        "other_class_share": float(other.mean()),
        "surely_other_class_share": float((other & (confidence > SURE)).mean()),
    }

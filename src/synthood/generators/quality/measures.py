"""Figures of a set of synthetic images: agreement with a judge, diversity, closeness to training images."""

import numpy as np
import torch
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.generators.quality.diversity import class_distances

COPY_PERCENTILE = 1.0
JPEG_BLOCK = 8
SURE = 0.9
"""Posterior from which a judge is called sure of a class."""


def agreement(logits: Tensor, labels: Tensor) -> float:
    """Share of images whose intended label a judge gives them."""
    return float((logits.argmax(1) == labels).float().mean())


def within_class_distance(images: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of the mean L2 distance between two images of a class, pixels in [-1,1]."""
    distances = class_distances(images, labels, int(labels.max()) + 1)
    if np.isnan(distances).all():
        raise SynthoodError("diversity needs two images of a class; set assess.images to at least twice the classes")
    return float(np.nanmean(distances))


def copy_share(distances: Tensor, held_out: Tensor) -> float:
    """Share of images nearer to the training set than the 1st percentile of held-out real images is."""
    return float((distances < torch.quantile(held_out, COPY_PERCENTILE / 100)).float().mean())


def block_traces(images: np.ndarray) -> float:
    """Mean step between neighbouring pixels across the borders of JPEG's 8x8 blocks, over that inside of them.

    Images uint8 [N,H,W,3]; about 1 where nothing was compressed. A set whose traces differ from the real images' can be
    told by them, without a look at what it shows. Not a number for images of one block.
    """
    if min(images.shape[1:3]) <= JPEG_BLOCK:
        return float("nan")
    across, inside = [], []
    for axis in (1, 2):
        steps = np.abs(np.diff(images.astype(np.int16), axis=axis)).mean(tuple({0, 1, 2, 3} - {axis}))
        border = np.arange(1, len(steps) + 1) % JPEG_BLOCK == 0
        across.append(steps[border].mean())
        inside.append(steps[~border].mean())
    return float(np.mean(across) / np.mean(inside)) if np.any(inside) else float("nan")


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

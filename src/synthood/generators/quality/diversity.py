"""How far apart the images of a class are."""

import numpy as np
import torch
from torch import Tensor

COMPARED = 500
"""Images of a class whose pairs are compared."""


def as_points(images: np.ndarray) -> Tensor:
    """Images uint8 [N,H,W,3] as float32 [N,3,H,W] in [-1,1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def class_distances(images: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean L2 distance between two of the first 500 images of each class [C], pixels in [-1,1]; NaN below two."""
    each = [as_points(images[np.flatnonzero(labels == label)[:COMPARED]]).flatten(1) for label in range(classes)]
    return np.array([float(torch.pdist(own).mean()) if len(own) > 1 else np.nan for own in each])

"""How far apart the images of a class are."""

import numpy as np
import torch

from synthood.common.pixels import signed

COMPARED = 500
"""Images of a class whose pairs are compared."""


def class_distances(images: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean L2 distance between two of the first 500 images of each class [C], pixels in [-1,1]; NaN below two."""
    each = [signed(images[np.flatnonzero(labels == label)[:COMPARED]]).flatten(1) for label in range(classes)]
    return np.array([float(torch.pdist(own).mean()) if len(own) > 1 else np.nan for own in each])

"""The nearest training image of each image, whichever way it is moved by a few pixels."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.common.pixels import signed

EXACT = 2000
"""Training images up to which all of them are compared at every shift."""
CANDIDATES = 16
"""Beyond, so many are, chosen by the distance of blurred images."""
BLURRED = 8
"""Side of a blurred image."""
CHUNK = 512


def nearest_training_image(images: np.ndarray, training: np.ndarray, shift: int) -> tuple[Tensor, Tensor]:
    """Least L2 distance [N] of each image to any training image moved by up to `shift` pixels, and its index [N].

    Exact up to 2,000 training images, else among the 16 whose blurred versions lie nearest. Pixels in [-1,1].
    """
    if len(training) <= EXACT:
        return among_all(images, training, shift)
    found = [
        among_candidates(images[first : first + CHUNK], training, candidates, shift)
        for first, candidates in blurred_candidates(images, training)
    ]
    distances, indices = zip(*found, strict=True)
    return torch.cat(distances), torch.cat(indices)


def nearest_of_class(
    images: np.ndarray, labels: np.ndarray, training: np.ndarray, training_labels: np.ndarray, shift: int
) -> tuple[Tensor, Tensor]:
    """The same among the training images of an image's own class; infinitely far where that has none."""
    distances, indices = torch.full((len(images),), torch.inf), torch.full((len(images),), -1, dtype=torch.int64)
    for label in np.unique(labels):
        own, members = np.flatnonzero(labels == label), np.flatnonzero(training_labels == label)
        if len(members):
            distance, index = nearest_training_image(images[own], training[members], shift)
            distances[torch.from_numpy(own)] = distance
            indices[torch.from_numpy(own)] = torch.from_numpy(members)[index]
    return distances, indices


def among_all(images: np.ndarray, training: np.ndarray, shift: int) -> tuple[Tensor, Tensor]:
    """Every training image at every shift."""
    queries, bank = signed(images).flatten(1), signed(training)
    best = torch.full((len(queries),), torch.inf)
    index = torch.zeros(len(queries), dtype=torch.int64)
    for moved in shifts(bank, shift):
        distance, nearest = torch.cdist(queries, moved.flatten(1)).min(1)
        index = torch.where(distance < best, nearest, index)
        best = torch.minimum(best, distance)
    return best, index


def blurred_candidates(images: np.ndarray, training: np.ndarray) -> list[tuple[int, Tensor]]:
    """First image of each chunk, and candidates [n,16] of its images."""
    bank = blurred(training)
    squares = bank.square().sum(1)
    chunks = []
    for first in range(0, len(images), CHUNK):
        queries = blurred(images[first : first + CHUNK])
        chunks.append((first, (squares - 2 * queries @ bank.T).topk(CANDIDATES, 1, largest=False).indices))
    return chunks


def blurred(images: np.ndarray) -> Tensor:
    """Images averaged to 8x8, as points [N,192]."""
    parts = [
        F.adaptive_avg_pool2d(signed(part), BLURRED).flatten(1)
        for part in np.array_split(images, len(images) // CHUNK + 1)
    ]
    return torch.cat(parts)


def among_candidates(images: np.ndarray, training: np.ndarray, candidates: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """Distance [n] to the nearest of each image's candidates [n,k] at every shift, and its index [n]."""
    queries = signed(images)
    best = torch.full(candidates.shape, torch.inf)
    for column, chosen in enumerate(candidates.T):
        for moved in shifts(signed(training[chosen.numpy()]), shift):
            best[:, column] = torch.minimum(best[:, column], (moved - queries).square().sum((1, 2, 3)))
    distance, place = best.min(1)
    return distance.sqrt(), candidates.gather(1, place[:, None]).squeeze(1)


def shifts(points: Tensor, shift: int) -> list[Tensor]:
    """Images [N,3,H,W] moved by up to `shift` pixels in each direction, their edges repeated."""
    padded = F.pad(points, (shift,) * 4, mode="replicate")
    height, width = points.shape[2:]
    moves = range(2 * shift + 1)
    return [padded[:, :, top : top + height, left : left + width] for top in moves for left in moves]

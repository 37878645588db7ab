"""How much of two sets of features lies among each other, by balls around nearest neighbours."""

import numpy as np
import torch
from torch import Tensor

MANIFOLD_NEIGHBOUR = 3
"""Of improved precision and recall."""
DENSITY_NEIGHBOUR = 5
"""Of density and coverage."""


def radii(points: Tensor, k: int) -> Tensor:
    """Distance [N] of each point [N,D] to its k-th nearest other one."""
    return torch.cdist(points, points).kthvalue(k + 1, 1).values


def inside(points: Tensor, centres: Tensor, radius: Tensor) -> Tensor:
    """Whether each point [N,D] lies in the ball of each centre [M,D]: bool [N,M]."""
    return torch.cdist(points, centres) <= radius


def manifold_figures(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """Improved precision and recall (arXiv 1904.06991), density and coverage (arXiv 2002.09797) of features [N,D].

    Precision and density ask whether made features lie where real ones are, recall and coverage the reverse; all but
    density, which may pass 1, lie in [0,1].
    """
    a, b = (torch.from_numpy(x).double() for x in (real, made))
    if min(len(a), len(b)) <= DENSITY_NEIGHBOUR:
        return dict.fromkeys(("precision", "recall", "density", "coverage"), float("nan"))
    near_real = inside(b, a, radii(a, DENSITY_NEIGHBOUR))
    return {
        "precision": float(inside(b, a, radii(a, MANIFOLD_NEIGHBOUR)).any(1).double().mean()),
        "recall": float(inside(a, b, radii(b, MANIFOLD_NEIGHBOUR)).any(1).double().mean()),
        "density": float(near_real.double().sum(1).mean() / DENSITY_NEIGHBOUR),
        "coverage": float(near_real.any(0).double().mean()),
    }

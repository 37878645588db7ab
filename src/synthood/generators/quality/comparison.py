"""Synthetic against held-out real images in one space of features, beside what real images reach themselves."""

from typing import Any

import numpy as np

from synthood.generators.quality.frechet import estimates
from synthood.generators.quality.manifolds import manifold_figures
from synthood.generators.quality.memorisation import copying, nearest_distance


def compared(made: np.ndarray, held_out: np.ndarray, resamples: int) -> dict[str, Any]:
    """FID, KID and manifold figures of made features [N,D] against one half of held-out features [M,D].

    `floor` is the other half in the made images' place; all three sets have the same size `n`.
    """
    order = np.random.default_rng(0).permutation(len(held_out))
    count = min(len(held_out) // 2, len(made))
    reference, other = held_out[order[:count]], held_out[order[count : 2 * count]]

    def against_reference(features: np.ndarray) -> dict[str, Any]:
        found = estimates(features, reference, resamples, seed=0)
        intervals = {name: {"value": e.value, "low": e.low, "high": e.high} for name, e in found.items()}
        return {**intervals, **manifold_figures(reference, features)}

    return {"n": count, **against_reference(made[:count]), "floor": against_reference(other)}


def copying_in(
    made: np.ndarray, made_labels: np.ndarray, held_out: np.ndarray, held_out_labels: np.ndarray, train: np.ndarray
) -> float:
    """The three-sample test on features [.,D], training features in the middle."""
    to_train = nearest_distance(made, train), nearest_distance(held_out, train)
    return copying(to_train[0], made_labels, to_train[1], held_out_labels)

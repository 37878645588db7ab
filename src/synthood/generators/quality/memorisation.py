"""The three-sample test of data copying (Meehan, Chaudhuri and Dasgupta 2020, arXiv 2004.05675)."""

import numpy as np
import torch
from scipy.stats import rankdata

CHUNK = 2048


def nearest_distance(points: np.ndarray, training: np.ndarray) -> np.ndarray:
    """L2 distance [N] of points [N,D] to the nearest of training [M,D]."""
    bank = torch.from_numpy(training).float()
    parts = [torch.cdist(part, bank).min(1).values for part in torch.from_numpy(points).float().split(CHUNK)]
    return torch.cat(parts).numpy()


def rank_statistic(made: np.ndarray, held_out: np.ndarray) -> float:
    """Mann and Whitney's U of distances as a z-score: below 0 where made samples are nearer than held-out ones."""
    m, n = len(made), len(held_out)
    u = rankdata(np.concatenate([made, held_out]))[:m].sum() - m * (m + 1) / 2
    return float((u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))


def copying(made: np.ndarray, made_labels: np.ndarray, held_out: np.ndarray, held_out_labels: np.ndarray) -> float:
    """C_T of distances to the training set: z-scores of the cells, weighted by their held-out samples.

    The cells are the classes. Far below 0 (-3): made samples copy the training set; far above 0: they miss it.
    """
    cells = [label for label in np.unique(held_out_labels) if (made_labels == label).any()]
    if not cells:
        return float("nan")
    weights = [int((held_out_labels == label).sum()) for label in cells]
    scores = [rank_statistic(made[made_labels == label], held_out[held_out_labels == label]) for label in cells]
    return float(np.average(scores, weights=weights))

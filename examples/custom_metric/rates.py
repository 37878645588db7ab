"""Two metrics: the FPR at any recall of ID, and a partial AUROC.

Confidences of ID and OOD images come as sorted arrays of float64, larger for ID.
"""

import numpy as np


def fpr(ids, oods, recall=0.9):
    """Share of OOD accepted at the highest threshold that accepts this share of ID."""
    needed = int(np.ceil(recall * len(ids) - 1e-9))
    return (oods >= ids[len(ids) - needed]).mean()


def partial_auroc(ids, oods, most=0.1):
    """Area under the ROC curve up to this share of OOD accepted, divided by it; a perfect detector has 1.

    The curve is linear between thresholds, so ties count half.
    """
    levels = np.unique(np.concatenate([ids, oods]))[::-1]
    x, y = (np.append(0.0, 1 - np.searchsorted(side, levels) / len(side)) for side in (oods, ids))
    end = np.searchsorted(x, most)  # the first point at `most` or beyond
    share = (most - x[end - 1]) / (x[end] - x[end - 1])
    height = y[end - 1] + share * (y[end] - y[end - 1])
    return np.trapezoid(np.append(y[:end], height), np.append(x[:end], most)) / most

"""Detectors that give many ID images the same confidence, so that their order among those is not known."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST = 0.05
"""Share of the pairs of ID images that may tie without a word: as many do where 20 confidences are equally frequent."""


def tied_share(confidences: NDArray[np.floating]) -> float:
    """Of the pairs of images, those with equal confidences; 0 for less than two images."""
    counts = np.unique(confidences, return_counts=True)[1].astype(np.float64)
    pairs = len(confidences) * (len(confidences) - 1)
    return float((counts * (counts - 1)).sum()) / pairs if pairs else 0.0


def tied(scores: pd.DataFrame, detectors: Iterable[str]) -> Iterator[tuple[str, int, float]]:
    """Detectors beyond `MOST` on the part `test`, with the number of their distinct confidences and the share."""
    test = scores[scores["part"] == "test"]
    for name in detectors:
        values = test[name].to_numpy()
        if (share := tied_share(values)) > MOST:
            yield name, len(np.unique(values)), share

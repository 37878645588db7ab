"""What all detectors share: the score's type, errors of range, percentiles, class means."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import pieces
from synthood.evaluation.selection import OutOfRangeError as OutOfRangeError

Score = Callable[[Features], Tensor]
"""Features of N samples to confidence float32 [N], larger for ID."""
TINY = 1e-12


@dataclass(frozen=True)
class Method:
    """A detector: how it is fitted, what its score looks at, what it is fitted on, and the grid that others search."""

    fit: Callable[..., Score]
    inputs: tuple[str, ...]
    fitted_on: tuple[str, ...] = ()
    grid: dict[str, list[Any]] = field(default_factory=dict)
    paper: str = ""
    labelled: bool = False
    """Whether it is fitted on the labels, too."""


def at_most(name: str, value: int, limit: int, what: str) -> None:
    """Raises where a hyperparameter is larger than the data allow."""
    if value > limit:
        raise OutOfRangeError(f"{name} {value} is larger than {what} {limit}; set it in detectors")


def at_percentile(values: Tensor, percent: float) -> Tensor:
    """Of all entries, linear between two of them; torch.quantile refuses more than 2^24."""
    position = percent / 100 * (values.numel() - 1)
    places = int(position), min(int(position) + 1, values.numel() - 1)
    ordered = torch.from_numpy(np.partition(values.flatten().cpu().numpy(), places)).to(values.device)
    low, high = ordered[places[0]], ordered[places[1]]
    return low + (high - low) * (position - int(position))


def head_logits(features: Tensor, reference: Reference) -> Tensor:
    """W h + b; [N,C]."""
    return F.linear(features, reference.weight, reference.bias)


def class_means(values: Tensor, labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    """Means [C,D] of the rightly classified samples of each class; of all of a class where none is.

    Raises where a class has no sample.
    """
    counted = labels.clone()
    right = torch.bincount(labels[labels == predictions], minlength=classes) > 0
    counted[right[labels] & (labels != predictions)] = classes
    sums = values.new_zeros((classes + 1, values.shape[1]), dtype=torch.float64)
    for place, rows in pieces(values):
        sums.index_add_(0, counted[place], rows.double())
    counts = torch.bincount(counted, minlength=classes + 1)[:classes]
    if (counts == 0).any():
        raise SynthoodError(f"class {int((counts == 0).nonzero()[0])} has no training sample; train on every class")
    return sums[:classes] / counts[:, None]

"""The ensemble of several models of one recipe."""

from typing import Literal

from synthood.common.lazy import Tensor
from synthood.evaluation.detectors.base import Detector, State
from synthood.evaluation.features import Features

MEAN_SOFTMAX = "mean softmax"
"""The output of samples that several models have seen."""
FEWEST_LEFT_OUT = 3
"""Models from which on an ensemble is scored without each of them, for its uncertainty."""


def left_out(name: str, member: int) -> str:
    """The column of an ensemble's scores without one of its models."""
    return f"{name} without model {member}"


class Ensemble(Detector):
    """Maximum of the mean softmax over a table's seeds."""

    kind: Literal["ensemble"] = "ensemble"

    paper = "arXiv 1612.01474"
    access = "ensemble"

    def confidence(self, x: Features, state: State) -> Tensor:
        return x.outputs[MEAN_SOFTMAX].amax(1)

"""The ensemble of several models of one recipe."""

from typing import Literal

from synthood.common.lazy import Tensor
from synthood.evaluation.detectors.base import Detector, State
from synthood.evaluation.detectors.odds import log_odds
from synthood.evaluation.features import Features

FEWEST_LEFT_OUT = 3
"""Models from which on an ensemble is scored without each of them, for its uncertainty."""


def left_out(name: str, member: int) -> str:
    """The column of an ensemble's scores without one of its models."""
    return f"{name} without model {member}"


class Ensemble(Detector):
    """Maximum of the mean softmax over a table's seeds, as its log odds."""

    kind: Literal["ensemble"] = "ensemble"

    paper = "arXiv 1612.01474"
    access = "ensemble"

    def confidence(self, x: Features, state: State) -> Tensor:
        return log_odds(x.logits)

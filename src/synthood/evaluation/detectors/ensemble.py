"""The ensemble of several models of one recipe."""

from typing import Literal

from synthood.evaluation.detectors.base import Detector, Score, State
from synthood.evaluation.hyperparameters import Access

MEAN_SOFTMAX = "mean softmax"
"""The output of samples that several models have seen."""


class Ensemble(Detector):
    """Maximum of the mean softmax over a table's seeds."""

    kind: Literal["ensemble"] = "ensemble"

    paper = "arXiv 1612.01474"

    @property
    def access(self) -> Access:
        return "ensemble"

    def scorer(self, state: State) -> Score:
        return Score(lambda x: x.outputs[MEAN_SOFTMAX].amax(1))

"""The ensemble of several models of one recipe."""

from typing import Literal

from synthood.evaluation.detectors.base import Detector


class Ensemble(Detector):
    """Maximum of the mean softmax over a table's seeds."""

    kind: Literal["ensemble"] = "ensemble"

    paper = "arXiv 1612.01474"
    access = "ensemble"

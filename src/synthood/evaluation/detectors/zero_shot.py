"""Detectors of classifiers by words."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.lazy import Tensor
from synthood.common.settings import Positive
from synthood.evaluation.detectors.base import GRID, TINY, Detector, Grids, State
from synthood.evaluation.detectors.odds import log_odds
from synthood.evaluation.features import Features, Reference


class Mcm(Detector):
    """Maximum softmax probability of the cosines of image and class, as its log odds (maximum concept matching).

    log(p / (1 - p)), p = max_c softmax(cos / T)_c, cos_c = <h, w_c> / (||h|| ||w_c||) (equation 1).

    Class weights w are the texts' embeddings of a recipe of kind zero-shot; the cosines of other heads are as good.
    """

    kind: Literal["mcm"] = "mcm"
    temperature: Annotated[Positive, GRID, Field(description="divides the cosines")] = 1.0

    paper = "arXiv 2211.13445"
    inputs = ("logits", "features", "head")
    grid: ClassVar[Grids] = {"temperature": [0.01, 1.0, 10.0]}

    def state(self, reference: Reference) -> State:
        return {"bias": reference.bias, "lengths": reference.weight.norm(dim=1)}

    def confidence(self, x: Features, state: State) -> Tensor:
        lengths = x.features.norm(dim=1, keepdim=True) * state["lengths"]
        return log_odds((x.logits - state["bias"]) / (self.temperature * lengths.clamp(min=TINY)))

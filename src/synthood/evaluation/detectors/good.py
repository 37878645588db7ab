"""GOOD's unified score: the energy and the distance to a training feature, weighed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Count, Fraction
from synthood.evaluation.detectors.base import GRID, Detector, Score, State, at_most
from synthood.evaluation.detectors.neighbours import largest_yet
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import by_pieces
from synthood.evaluation.scoring import BankScore


class Good(Detector):
    """Minus the energy, scaled by that of ID, and the distance to the k-th nearest training feature, weighed.

    -(1 - w) (b - lse(l)) / (b - a) - w ||z - z_(k)||, [a, b] the range of lse(l) on ID validation.

    The released code scales by ID and OOD test images together and has w = 1 - exp(-KL / 2), KL that of histograms of
    their distances. A score of one image has neither: here w is a hyperparameter.
    """

    kind: Literal["good"] = "good"
    k: Annotated[Count, GRID, Field(description="neighbours; the distance is to the k-th")] = 100
    weight: Annotated[Fraction, GRID, Field(description="of the distance; the rest is the energy's")] = 0.5

    paper = "arXiv 2510.17131"
    inputs = ("logits", "features")
    fitted_on = ("train", "val")
    limited_by = {"k": "training images"}

    def state(self, reference: Reference) -> State:
        at_most("good: k", self.k, len(reference.bank), "the bank's number of training features")
        known = by_pieces(lambda _, rows: rows.logsumexp(1), reference.val.logits)
        low, high = known.aminmax()
        # An energy that never changes says nothing
        scale = torch.where(high > low, 1 / (high - low), 0.0)
        return {"bank": reference.bank, "high": high, "scale": scale}

    def scorer(self, state: State) -> Score:
        def gather(found: Tensor | None, less_one: Tensor, x: Features, place: slice) -> Tensor:
            return largest_yet(found, less_one, self.k)

        def confidence(nearest: Tensor, x: Features) -> Tensor:
            # A sample of zeros has no direction: its distance to all of the bank is 1
            distance = (-2 * nearest[:, -1].clamp(max=0)).sqrt().masked_fill((x.features == 0).all(1), 1.0)
            energy = (state["high"] - x.logits.logsumexp(1)) * state["scale"]
            return -(1 - self.weight) * energy - self.weight * distance

        return BankScore(state["bank"], gather, confidence)

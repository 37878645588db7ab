"""Detectors that read what a recipe trained with the classifier: heads' outputs, dropout."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.seeds import generator
from synthood.common.settings import Count
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import GRID, Detector, Grids, Score, State, head_logits, head_state
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.odds import log_odds
from synthood.evaluation.features import Features, Reference

SMALLEST = 2.0**-1022
"""The smallest normal float64."""


def output(x: Features, name: str) -> Tensor:
    """The output [N,...] of the head that a recipe trains under the key `name`."""
    if name not in x.outputs:
        raise SynthoodError(
            f"these features have no output of a head `{name}`; extract them from a recipe with that key"
        )
    return x.outputs[name]


class RotPred(Detector):
    """Divergence from uniform minus the loss of telling quarter turns.

    KL(u || p) minus the mean cross-entropy of the four turns (section 4), u uniform.

    Both in bits, as in OpenOOD; it changes no order.
    """

    kind: Literal["rotpred"] = "rotpred"

    paper = "arXiv 1906.12340"
    inputs = ("logits", "outputs")
    reads = "rotation"

    def confidence(self, x: Features, state: State) -> Tensor:
        classes = x.logits.shape[1]
        divergence = -math.log(classes) - x.logits.log_softmax(1).mean(1)
        return (divergence - output(x, "rotation").mean(1)) / math.log(2)


class Vos(Detector):
    """Log odds by the logistic regression that virtual outliers train.

    Log odds of ID by the logistic regression on the weighted energy that VOS trains (eq. 5).
    """

    kind: Literal["vos"] = "vos"

    paper = "arXiv 2202.01197"
    inputs = ("outputs",)
    reads = "virtual_outliers"

    def confidence(self, x: Features, state: State) -> Tensor:
        return output(x, "virtual_outliers")


class Cider(Detector):
    """KNN on the projection that SupCon or CIDER trains.

    KNN on the normalised projection that SupCon or CIDER trains (section 3.3).
    """

    kind: Literal["cider"] = "cider"
    k: Annotated[Count, GRID, Field(description="neighbours; the distance is to the k-th")] = 50

    paper = "arXiv 2203.04450"
    inputs = ("outputs",)
    fitted_on = ("train",)
    grid: ClassVar[Grids] = {"k": [50, 100, 200, 500, 1000]}
    reads = "contrastive"

    def state(self, reference: Reference) -> State:
        own = Reference(projected(reference.train), reference.val, reference.weight, reference.bias)
        return Knn(k=self.k).state(own)

    def scorer(self, state: State) -> Score:
        nearest = Knn(k=self.k).scorer(state)
        return Score(lambda x: nearest(projected(x)))


def projected(x: Features) -> Features:
    """With the projection of a contrastive recipe as features."""
    return Features(x.logits, output(x, "contrastive"), x.labels)


class Godin(Detector):
    """The largest logit, or the confidence that divides logits in training.

    max_i h_i(x), or g(x) (section 3.1); `godin-perturbed` has the paper's step of the image.
    """

    kind: Literal["godin"] = "godin"
    score: Annotated[Literal["h", "g"], Field(description="h: the logit; g: the confidence")] = "h"

    paper = "arXiv 2002.11297"
    inputs = ("outputs",)
    reads = "godin"

    def confidence(self, x: Features, state: State) -> Tensor:
        return output(x, "godin")[:, 0 if self.score == "h" else 1]


class Mcd(Detector):
    """Agreement of two last layers that are trained to differ on outliers.

    log((2 - d) / d), d = |p_1 - p_2|_1 of the posteriors of both last layers (section 3.4).

    The order is that of -d, which float32 rounds where both are sure.
    """

    kind: Literal["mcd"] = "mcd"

    paper = "arXiv 1908.04951"
    inputs = ("logits", "outputs")
    reads = "discrepancy"

    def confidence(self, x: Features, state: State) -> Tensor:
        one, other = (values.double().softmax(1) for values in (x.logits, output(x, "discrepancy")))
        # Half of d is the sum of either sign; that without a probability near one, which is rounded, is the larger
        apart = torch.maximum((one - other).relu().sum(1), (other - one).relu().sum(1))
        common = torch.minimum(one, other).sum(1)
        return (common.clamp(min=SMALLEST).log() - apart.clamp(min=SMALLEST).log()).float()


class McDropout(Detector):
    """Mean softmax over passes of the last layer with features dropped, as log odds.

    log(p / (1 - p)), p = max_c of the mean softmax over passes of the last layer, features dropped.

    Exact for networks whose dropout comes before the last layer, as this package's. Each pass drops the same units
    of every sample, so a score depends neither on the order nor on the batch.
    """

    kind: Literal["mc-dropout"] = "mc-dropout"
    probability: Annotated[
        Annotated[float, Field(gt=0, lt=1)] | None,
        GRID,
        Field(description="of a feature to be dropped; null: the recipe's `dropout`"),
    ] = None
    passes: Annotated[Count, GRID, Field(description="with features dropped, which are averaged")] = 5

    paper = "Gal, Ghahramani, ICML 2016"
    compared = "anew for each sample; here the same units for all"
    inputs = ("features", "head")
    reads = "dropout"

    def readable(self, recipe: object) -> bool:
        return self.probability is not None or super().readable(recipe)

    def of_recipe(self, recipe: object) -> Self:
        if self.probability is not None:
            return self
        return self.model_copy(update={"probability": getattr(recipe, "dropout", None)})

    def state(self, reference: Reference) -> State:
        if self.probability is None:
            raise SynthoodError("mc-dropout: probability is that of the recipe's dropout; give one outside a workflow")
        random = generator(0, "mc-dropout", self.passes)
        width = reference.weight.shape[1]
        masks = (torch.rand((self.passes, width), generator=random) >= self.probability).float() / (
            1 - self.probability
        )
        return head_state(reference) | {"masks": masks}

    def confidence(self, x: Features, state: State) -> Tensor:
        each = (head_logits(x.features * mask, state).log_softmax(1) for mask in state["masks"])
        return log_odds(torch.stack(list(each)).logsumexp(0))

"""The kinds of detector that read what a recipe trains beside the network: their keys in `detectors`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.settings import Count
from synthood.evaluation.hyperparameters import GRID, Hyperparameters


class McDropout(Hyperparameters):
    """Mean softmax over passes of the last layer with features dropped (Gal and Ghahramani, ICML 2016)."""

    reads: ClassVar[str | None] = "dropout"

    kind: Literal["mc-dropout"]
    probability: Annotated[
        float | None, GRID, Field(gt=0, lt=1, description="of a feature to be dropped; null: the recipe's `dropout`")
    ] = None
    passes: Annotated[Count, GRID] = 5


class RotPred(Hyperparameters):
    """Divergence from uniform minus the loss of telling quarter turns (arXiv 1906.12340)."""

    reads: ClassVar[str | None] = "rotation"

    kind: Literal["rotpred"]


class Vos(Hyperparameters):
    """Log odds by the logistic regression that virtual outliers train (arXiv 2202.01197)."""

    reads: ClassVar[str | None] = "virtual_outliers"

    kind: Literal["vos"]


class Cider(Hyperparameters):
    """KNN on the projection that SupCon or CIDER trains (arXiv 2203.04450)."""

    reads: ClassVar[str | None] = "contrastive"

    kind: Literal["cider"]
    k: Annotated[Count, GRID] = 50


class Godin(Hyperparameters):
    """The largest logit, or the confidence that divides logits in training (G-ODIN, arXiv 2002.11297)."""

    reads: ClassVar[str | None] = "godin"

    kind: Literal["godin"]
    score: Annotated[Literal["h", "g"], Field(description="h: the logit; g: the confidence")] = "h"


class Mcd(Hyperparameters):
    """Agreement of two last layers that are trained to differ on outliers (arXiv 1908.04951)."""

    reads: ClassVar[str | None] = "discrepancy"

    kind: Literal["mcd"]


OfTrainedHeads = McDropout | RotPred | Vos | Cider | Godin | Mcd

"""Settings of the detectors that need the model, or several, instead of one model's features."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import PERCENT, Count, Fraction, Positive, unless
from synthood.evaluation.hyperparameters import GRID, Access, Hyperparameters

PIXELS = unless(lambda value: value > 0.1, "expected at most 0.1 of the pixels' range [0,1]; divide 0 to 255 by 255")
Noise = Annotated[
    float, Field(ge=0, lt=1), PIXELS, GRID, Field(description="of each pixel, in units of the range [0,1]")
]
Percent = Annotated[float, Field(gt=0, lt=100), PERCENT, GRID]


class OfMaps(Hyperparameters):
    """Scored in one pass that sees the maps between the layers."""

    @property
    def access(self) -> Access:
        return "maps"


class OfGradients(Hyperparameters):
    """Scored with gradients in the images."""

    @property
    def access(self) -> Access:
        return "gradients"


class Gram(OfMaps):
    """Minus the deviation of Gram matrices from the range of the predicted class (arXiv 1912.12510)."""

    kind: Literal["gram"]
    powers: Annotated[Count, GRID, Field(description="matrices of the order 1 to this")] = 5


class RankFeat(OfMaps):
    """Energy after the largest singular value of a map is taken out (arXiv 2209.08590)."""

    kind: Literal["rankfeat"]
    stages: Annotated[
        Literal["last", "last-but-one", "both"], GRID, Field(description="both: logits averaged, as in the paper")
    ] = "both"


class MdsEnsemble(Hyperparameters):
    """Mahalanobis distances of every stage's mean features, weighted by a regression (arXiv 1807.03888)."""

    kind: Literal["mds-ensemble"]
    noise: Noise = 0.0014

    @property
    def access(self) -> Access:
        levels = self.noise if isinstance(self.noise, list) else [self.noise]
        return "gradients" if any(levels) else "maps"


class Odin(OfGradients):
    """Softmax at a temperature after a step towards the predicted class (arXiv 1706.02690)."""

    kind: Literal["odin"]
    temperature: Annotated[Positive, GRID] = 1000.0
    noise: Noise = 0.0014


class Iodin(OfGradients):
    """ODIN with the step at the one value of the image whose gradient is largest (OpenOOD's iODIN)."""

    kind: Literal["iodin"]
    temperature: Annotated[Positive, GRID] = 1000.0
    noise: Noise = 0.0014


class AdaScale(OfGradients):
    """Energy scaled by a percentile of each sample's own, from how a step shifts its features (arXiv 2503.08023)."""

    kind: Literal["adascale"]
    variant: Annotated[Literal["a", "l"], GRID, Field(description="a: scales features; l: logits")] = "a"
    low: Annotated[Percent, Field(description="percentile of the most shifted")] = 75.0
    high: Annotated[Percent, Field(description="percentile of the least shifted")] = 85.0
    strongest: Annotated[Percent, Field(description="% of features whose shifted values count")] = 5.0
    shifting: Annotated[Percent, Field(description="% of features whose shifts count")] = 1.0
    shift_weight: Annotated[float, Field(ge=0), GRID] = 10.0
    pixels: Annotated[Fraction, GRID, Field(gt=0, description="share of the image's values that are moved")] = 0.05


class Ensemble(Hyperparameters):
    """Maximum of the mean softmax over a table's seeds (arXiv 1612.01474)."""

    kind: Literal["ensemble"]

    @property
    def access(self) -> Access:
        return "ensemble"


OfModels = Gram | RankFeat | MdsEnsemble | Odin | Iodin | AdaScale | Ensemble

"""Settings of the methods that a recipe can add to cross-entropy training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common.settings import BEFORE_THE_END, Count, Fraction, Positive, Settings
from synthood.training.augmentation.settings import AugMix

Weight = Annotated[Positive, Field(description="of the term in the loss")]


class Consistency(AugMix):
    """Posteriors of an image and of two of its mixes near each other (arXiv 1912.02781, section 3)."""

    weight: Weight = 12.0


class CutMix(Settings):
    """A box of each image comes from another, and so does its share of the label (arXiv 1905.04899)."""

    kind: Literal["cutmix"]
    beta: Positive = 1.0
    probability: Fraction = 1.0


class Mixup(Settings):
    """Images and labels blended in pairs (arXiv 1710.09412)."""

    kind: Literal["mixup"]
    beta: Positive = 1.0
    probability: Fraction = 1.0


class RegMixup(Settings):
    """Cross-entropy of blended pairs beside that of the images (arXiv 2206.14502)."""

    kind: Literal["regmixup"]
    beta: Positive = 10.0
    weight: Weight = 1.0


Mixing = Annotated[CutMix | Mixup | RegMixup, Field(discriminator="kind")]


class LogitNorm(Settings):
    """Cross-entropy of logits of one length (arXiv 2205.09310)."""

    kind: Literal["logitnorm"]
    temperature: Positive = 0.04


class T2FNorm(Settings):
    """Features of one length, in training alone (arXiv 2305.17797)."""

    kind: Literal["t2fnorm"]
    temperature: Positive = 0.1


class Godin(Settings):
    """Logits divided by a learned confidence (G-ODIN, arXiv 2002.11297)."""

    kind: Literal["godin"]
    form: Annotated[
        Literal["inner", "euclid", "cosine"], Field(description="of the logits: products, distances or cosines")
    ] = "cosine"


Normalisation = Annotated[LogitNorm | T2FNorm | Godin, Field(discriminator="kind")]


class Rotation(Settings):
    """Prediction of quarter turns (RotPred, arXiv 1906.12340)."""

    weight: Weight = 0.5


class SupCon(Settings):
    """Supervised contrast of the batch's samples (arXiv 2004.11362)."""

    kind: Literal["supcon"]
    weight: Weight = 1.0
    temperature: Positive = 0.1
    dimensions: Annotated[Count, Field(description="of the projection")] = 128


class Prototypes(Settings):
    """Samples near their class's prototype, prototypes apart."""

    weight: Weight = 1.0
    dispersion: Annotated[Positive, Field(description="weight of dispersion against compactness")] = 0.5
    temperature: Positive = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1, description="of the prototypes")] = 0.5
    dimensions: Annotated[Count, Field(description="of the projection")] = 128


class Cider(Prototypes):
    """Samples near their class's prototype, prototypes apart (arXiv 2203.04450)."""

    kind: Literal["cider"]


class Npos(Prototypes):
    """CIDER's losses, and outliers drawn around the outermost points of each class (NPOS, arXiv 2303.02966)."""

    kind: Literal["npos"]
    outlier_weight: Weight = 0.1
    start: Annotated[Fraction, BEFORE_THE_END, Field(description="share of the steps without outliers")] = 0.4
    queue: Annotated[int, Field(ge=2, description="points kept of each class")] = 1000
    k: Annotated[Count, Field(description="neighbours; distances are to the k-th of the class")] = 300
    boundary_points: Annotated[Count, Field(description="of each class, those with the farthest k-th neighbour")] = 200
    picked: Annotated[Count, Field(description="boundary points of a step and class")] = 2
    candidates: Annotated[int, Field(ge=2, description="drawn around each picked point")] = 600
    kept: Annotated[Count, Field(description="candidates of each picked point, the farthest")] = 200
    noise: Annotated[Positive, Field(description="standard deviation of a candidate's coordinates")] = 0.1
    variant: Annotated[
        Literal["correct", "released"],
        Field(description="released: the shuffled choice of the papers' code, off the sphere"),
    ] = "correct"

    @model_validator(mode="after")
    def _enough_of_each(self) -> "Npos":
        for less, more, why in (
            ("k", "queue", "a point has so many neighbours at most, itself left out"),
            ("boundary_points", "queue", "they are taken from it"),
            ("picked", "boundary_points", "they are picked from them"),
            ("kept", "candidates", "they are kept of them"),
        ):
            one, other = getattr(self, less), getattr(self, more)
            if one > other or (less == "k" and one == other):
                raise ValueError(f"{less} {one} against {more} {other}: {why}; lower {less} or raise {more}")
        return self


Contrastive = Annotated[SupCon | Cider | Npos, Field(discriminator="kind")]


class VirtualOutliers(Settings):
    """Outliers drawn in feature space (VOS, arXiv 2202.01197)."""

    weight: Weight = 0.1
    start: Annotated[Fraction, BEFORE_THE_END, Field(description="share of the steps without them")] = 0.4
    queue: Annotated[int, Field(ge=2, description="features kept of each class")] = 1000
    candidates: Count = 10000
    per_class: Annotated[Count, Field(description="candidates taken, the least likely")] = 1
    shrinkage: Annotated[float, Field(gt=0, le=1, description="of the covariance towards its mean variance")] = 0.01
    variant: Annotated[
        Literal["correct", "released"],
        Field(description="released: energies of the benchmark's code, without gradient into the network"),
    ] = "correct"

    @model_validator(mode="after")
    def _enough_candidates(self) -> "VirtualOutliers":
        if self.per_class > self.candidates:
            raise ValueError(f"per_class {self.per_class} of only {self.candidates} candidates; raise candidates")
        return self

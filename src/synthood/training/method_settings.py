"""Settings of the methods that a recipe can add to cross-entropy training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common.settings import Count, Fraction, Name, Positive, Settings

Weight = Annotated[Positive, Field(description="of the term in the loss")]


class RandAugment(Settings):
    """Random operations on pixels, all of the same magnitude (arXiv 1909.13719)."""

    operations: Count = 2
    magnitude: Annotated[int, Field(ge=0, le=30, description="of 30")] = 9


class AugMix(Settings):
    """Chains of operations mixed with the image (arXiv 1912.02781), without the consistency loss."""

    width: Annotated[Count, Field(description="chains")] = 3
    depth: Annotated[Count, Field(description="operations of a chain at most")] = 3
    severity: Annotated[int, Field(ge=1, le=10)] = 3


class PixMix(Settings):
    """Rounds of mixing with fractals or with an operation on the image (arXiv 2112.05135)."""

    rounds: Annotated[Count, Field(description="at most")] = 4
    beta: Annotated[Positive, Field(description="the larger, the weaker")] = 3.0
    severity: Annotated[int, Field(ge=1, le=10)] = 3
    fractals: Annotated[Count, Field(description="pictures in the mixing set, drawn from the seed")] = 128


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


Normalisation = Annotated[LogitNorm | T2FNorm, Field(discriminator="kind")]


class UniformExposure(Settings):
    """Uniform posteriors on outlier images (OE, arXiv 1812.04606)."""

    kind: Literal["uniform"]
    from_: Annotated[Name, Field(alias="from", description="a section of `outliers`, of which the gate's images")]
    weight: Weight = 0.5
    per_image: Annotated[Positive, Field(description="outliers per ID image of a batch")] = 1.0


class EnergyExposure(Settings):
    """Energies bounded from above for ID, from below for outlier images (arXiv 2010.03759)."""

    kind: Literal["energy"]
    from_: Annotated[Name, Field(alias="from", description="a section of `outliers`, of which the gate's images")]
    weight: Weight = 0.1
    per_image: Annotated[Positive, Field(description="outliers per ID image of a batch")] = 1.0
    id_at_most: Annotated[float, Field(description="energy of ID images that costs nothing")] = -23.0
    outliers_at_least: Annotated[float, Field(description="energy of outliers that costs nothing")] = -5.0

    @model_validator(mode="after")
    def _a_gap(self) -> "EnergyExposure":
        if self.id_at_most >= self.outliers_at_least:
            raise ValueError(
                f"id_at_most {self.id_at_most} must lie below outliers_at_least {self.outliers_at_least}; "
                f"ID images have the lower energies"
            )
        return self


Exposure = Annotated[UniformExposure | EnergyExposure, Field(discriminator="kind")]


class Rotation(Settings):
    """Prediction of quarter turns (RotPred, arXiv 1906.12340)."""

    weight: Weight = 0.5


class SupCon(Settings):
    """Supervised contrast of the batch's samples (arXiv 2004.11362)."""

    kind: Literal["supcon"]
    weight: Weight = 1.0
    temperature: Positive = 0.1
    dimensions: Annotated[Count, Field(description="of the projection")] = 128


class Cider(Settings):
    """Samples near their class's prototype, prototypes apart (arXiv 2203.04450)."""

    kind: Literal["cider"]
    weight: Weight = 1.0
    dispersion: Annotated[Positive, Field(description="weight of dispersion against compactness")] = 0.5
    temperature: Positive = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1, description="of the prototypes")] = 0.5
    dimensions: Annotated[Count, Field(description="of the projection")] = 128


Contrastive = Annotated[SupCon | Cider, Field(discriminator="kind")]


class VirtualOutliers(Settings):
    """Outliers drawn in feature space (VOS, arXiv 2202.01197)."""

    weight: Weight = 0.1
    start: Annotated[Fraction, Field(description="share of the steps without them")] = 0.4
    queue: Annotated[int, Field(ge=2, description="features kept of each class")] = 1000
    candidates: Count = 10000
    per_class: Annotated[Count, Field(description="candidates taken, the least likely")] = 1
    shrinkage: Annotated[float, Field(gt=0, le=1, description="of the covariance towards its mean variance")] = 0.01

    @model_validator(mode="after")
    def _enough_candidates(self) -> "VirtualOutliers":
        if self.per_class > self.candidates:
            raise ValueError(f"per_class {self.per_class} of only {self.candidates} candidates; raise candidates")
        return self

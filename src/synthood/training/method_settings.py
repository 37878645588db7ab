"""Settings of the methods that a recipe can add to cross-entropy training."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import Count, Fraction, Positive, Settings

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

"""Settings of what happens to each training image."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import Count, Positive, Settings


class RandAugment(Settings):
    """Random operations on pixels, all of the same magnitude (arXiv 1909.13719)."""

    operations: Annotated[Count, Field(description="in turn, of each image")] = 2
    magnitude: Annotated[int, Field(ge=0, le=30, description="of 30")] = 9


class AugMix(Settings):
    """Chains of operations mixed with the image (arXiv 1912.02781), without the consistency loss."""

    width: Annotated[Count, Field(description="chains")] = 3
    depth: Annotated[Count, Field(description="operations of a chain at most")] = 3
    severity: Annotated[int, Field(ge=1, le=10, description="strength of an operation, of 10")] = 3


class PixMix(Settings):
    """Rounds of mixing with fractals or with an operation on the image (arXiv 2112.05135)."""

    rounds: Annotated[Count, Field(description="at most")] = 4
    beta: Annotated[Positive, Field(description="the larger, the weaker")] = 3.0
    severity: Annotated[int, Field(ge=1, le=10, description="strength of an operation, of 10")] = 3
    fractals: Annotated[Count, Field(description="pictures in the mixing set, drawn from the seed")] = 128
    pictures: Annotated[
        str | None, Field(min_length=1, description="a folder whose image files are the mixing set instead")
    ] = None


class Augmentation(Settings):
    """What happens to each training image, real or synthetic: first to its pixels, then shift, flip and Cutout."""

    randaugment: RandAugment | None = None
    augmix: AugMix | None = None
    pixmix: PixMix | None = None
    shift: Annotated[int, Field(ge=0, description="pixels in each direction")] = 0
    padding: Annotated[
        Literal["zero", "replicate"], Field(description="what shift fills in: zeros, or the nearest pixel of the edge")
    ] = "replicate"
    flip: Annotated[bool, Field(description="mirror with probability one half")] = False
    cutout: Annotated[int, Field(ge=0, description="side of the square that is erased, in pixels")] = 0

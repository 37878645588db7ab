"""Settings of the `outliers` section: how outliers are synthesised in latent space (OAL, arXiv 2406.16525)."""

import math
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from synthood.common.settings import PERCENT, REAL_IMAGES, Count, Name, Positive, Ref, Seed, Settings
from synthood.generators.diffusion.sampler_settings import Sample, StableDiffusionSample
from synthood.outliers.encoder_settings import Encoder


class BoundarySettings(Settings):
    """Outlier embeddings around the outermost ID embeddings of each class."""

    k: Annotated[int, Field(ge=1, description="neighbours; distances are to the k-th of the class")]
    boundary_points: Annotated[int, Field(ge=1, description="of each class, those with the farthest k-th neighbour")]
    per_class: Annotated[
        int | None, Field(ge=2, description="ID embeddings of each class, drawn by the seed; all by default")
    ] = None
    rounds: Annotated[Count, Field(description="with candidates drawn anew; each keeps as many")] = 1
    points_per_round: Annotated[
        int | None, Field(ge=1, description="boundary points drawn for a round; all by default")
    ] = None
    candidates: Annotated[int, Field(ge=2, description="drawn around each boundary point")] = 400
    kept: Annotated[int, Field(ge=1, description="candidates kept of each boundary point and round")] = 2
    noise: Annotated[Positive, Field(description="standard deviation of a candidate's coordinates")] = 0.1
    shared_noise: Annotated[
        bool,
        Field(description="one draw for all points of a round, as the papers' code does; far faster with many points"),
    ] = False
    selection: Annotated[
        Literal["knn", "random", "released"],
        Field(description="knn: the farthest of each point; released: the shuffled choice of the papers' code"),
    ] = "knn"
    seed: Seed = 0

    @model_validator(mode="after")
    def _enough_to_choose_from(self) -> "BoundarySettings":
        for key, few, many in (
            ("kept", self.kept, "candidates"),
            ("points_per_round", self.points_per_round or 1, "boundary_points"),
            ("boundary_points", self.boundary_points if self.per_class else 1, "per_class"),
        ):
            if (most := getattr(self, many)) is not None and few > most:
                raise ValueError(f"{key} {few} must not be above {many} {most}")
        if self.per_class is not None and self.k >= self.per_class:
            raise ValueError(f"k {self.k} must be below per_class {self.per_class}")
        return self


def a_scale(value: object) -> object:
    """Passes a length or `released`; says both where it is neither."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "released" or (number and 0 < value < math.inf):  # type: ignore[operator]
        return value
    raise ValueError(f"expected a number greater than 0 or 'released', got {value!r}")


class LatentsSettings(Settings):
    """Latents sampled from prompts whose class word is moved towards an outlier embedding."""

    scale: Annotated[
        Annotated[float, Field(gt=0)] | Literal["released"],
        BeforeValidator(a_scale),
        Field(description="length of the move, in lengths of the word's embedding; released: the outlier itself"),
    ]
    replaces: Annotated[
        Literal["word", "first-token"],
        Field(description="word: one new token for it; first-token: its others stay, as the papers' code does"),
    ] = "word"
    attempts_per_class: Annotated[int, Field(ge=1, description="latents sampled of each class; what the gate sees")]
    sample: Sample = StableDiffusionSample()


class GateSettings(Settings):
    """Which latents count as outliers: by a classifier's posterior and its k-nearest-neighbour distance."""

    classifier: Annotated[
        Name,
        Ref("recipes", seed="classifier_seed", without=REAL_IMAGES),
        Field(description="a recipe that learns from real images alone, not the judge"),
    ]
    classifier_seed: Annotated[Seed, Field(description="training seed of the classifier")] = 0
    wanted_per_class: Annotated[int, Field(ge=1, description="accepted outliers kept of each class")]
    accept: Annotated[
        Literal["outliers", "all"], Field(description="all: whatever was sampled, as the papers' code does")
    ] = "outliers"
    posterior_below: Annotated[float, Field(gt=0, le=1, description="bound on the intended class's posterior")] = 0.5
    confidence_below: Annotated[float, Field(gt=0, le=1, description="bound on the largest posterior")] = 1.0
    distance: Annotated[
        Literal["knn", "density"],
        Field(description="to the k-th nearest ID feature, or to the nearest class's Gaussian of one covariance"),
    ] = "knn"
    k: Annotated[Count, Field(description="neighbours; distances are to the k-th")] = 10
    percentile: Annotated[
        float,
        PERCENT,
        Field(ge=0, le=100, description="of ID validation images' distances that an outlier must exceed"),
    ] = 95.0


class CurveSettings(Settings):
    """How many latents keep their intended class, over the length of the move."""

    scales: Annotated[list[Positive], Field(min_length=1, description="lengths of the move, as `latents.scale`")]
    attempts_per_class: Annotated[Count, Field(description="latents sampled of each class and length")] = 30


class SampledOutliers(Settings):
    """Outliers sampled by a Stable Diffusion of this configuration."""

    generator: Annotated[Name, Ref("generators"), Field(description="a generator of kind stable-diffusion")]
    encoder: Annotated[Encoder, Field(description="network whose embeddings outliers are sought among")]
    boundary: BoundarySettings
    latents: LatentsSettings
    gate: GateSettings
    curve: Annotated[CurveSettings | None, Field(description="drawn for the report where given")] = None

    @model_validator(mode="after")
    def _vectors_that_can_be_moved(self) -> Self:
        if self.encoder.anchors == "contextual" and (self.latents.scale != "released" or self.curve):
            raise ValueError(
                "encoder.anchors contextual are no tokens that could be moved; take latents.scale: released, no curve"
            )
        return self


class LatentOutliers(SampledOutliers):
    """OAL's outliers (arXiv 2406.16525): latents, and those of ID images, for `outliers`; images for `exposure`."""

    kind: Literal["latent"]


class PixelOutliers(SampledOutliers):
    """Dream-OOD's outliers (arXiv 2309.13415): images alone, for `exposure`; no ID image is encoded."""

    kind: Literal["pixel"]


class ScaleCurveSettings(Settings):
    """One job of `scale_curve`."""

    latents: LatentsSettings
    curve: CurveSettings


Outliers = Annotated[LatentOutliers | PixelOutliers, Field(discriminator="kind")]

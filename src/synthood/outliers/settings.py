"""Settings of the `outliers` section: how outliers are synthesised in latent space (OAL, arXiv 2406.16525)."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from synthood.common.settings import Count, Name, Positive, Seed, Settings
from synthood.generators.diffusion_settings import StableDiffusionSample
from synthood.training.network_settings import AnyNetwork
from synthood.training.settings import Augmentation


class EncoderSettings(Settings):
    """The text-aligned encoder: images to the space of the class words' token embeddings."""

    network: AnyNetwork
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive = 0.1
    temperature: Annotated[Positive, Field(description="of the cosines to the class words")] = 0.1
    augmentation: Augmentation = Augmentation()
    seed: Seed = 0


class BoundarySettings(Settings):
    """Outlier embeddings around the outermost ID embeddings of each class."""

    k: Annotated[int, Field(ge=1, description="neighbours; distances are to the k-th of the class")]
    boundary_points: Annotated[int, Field(ge=1, description="of each class, those with the farthest k-th neighbour")]
    candidates: Annotated[int, Field(ge=2, description="drawn around each boundary point")] = 400
    kept: Annotated[int, Field(ge=1, description="candidates kept of each boundary point")] = 2
    noise: Annotated[Positive, Field(description="standard deviation of a candidate's coordinates")] = 0.1
    selection: Annotated[
        Literal["knn", "random", "released"],
        Field(description="knn: the farthest of each point; released: the shuffled choice of the papers' code"),
    ] = "knn"
    seed: Seed = 0


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
    attempts_per_class: Annotated[int, Field(ge=1, description="latents sampled of each class; what the gate sees")]
    sample: StableDiffusionSample = StableDiffusionSample()


class GateSettings(Settings):
    """Which latents count as outliers: by a classifier's posterior and its k-nearest-neighbour distance."""

    classifier: Annotated[Name, Field(description="a recipe that learns from real images alone, not the judge")]
    classifier_seed: Seed = 0
    wanted_per_class: Annotated[int, Field(ge=1, description="accepted outliers kept of each class")]
    accept: Annotated[
        Literal["outliers", "all"], Field(description="all: whatever was sampled, as the papers' code does")
    ] = "outliers"
    posterior_below: Annotated[float, Field(gt=0, le=1, description="bound on the intended class's posterior")] = 0.5
    confidence_below: Annotated[float, Field(gt=0, le=1, description="bound on the largest posterior")] = 1.0
    k: Count = 10
    percentile: Annotated[
        float, Field(ge=0, le=100, description="of ID validation images' distances that an outlier must exceed")
    ] = 95.0


class CurveSettings(Settings):
    """How many latents keep their intended class, over the length of the move."""

    scales: Annotated[list[Positive], Field(min_length=1)]
    attempts_per_class: Count = 30


class LatentOutliers(Settings):
    """OAL's outliers, in the latent space of a Stable Diffusion of this configuration."""

    kind: Literal["latent"]
    generator: Annotated[Name, Field(description="a generator of kind stable-diffusion")]
    encoder: EncoderSettings
    boundary: BoundarySettings
    latents: LatentsSettings
    gate: GateSettings
    curve: Annotated[CurveSettings | None, Field(description="drawn for the report where given")] = None


class ScaleCurveSettings(Settings):
    """One job of `scale_curve`."""

    latents: LatentsSettings
    curve: CurveSettings


Outliers = LatentOutliers

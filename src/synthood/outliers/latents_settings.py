"""Settings of the stages `latents` and `scale_curve`."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from synthood.common.settings import Count, JobSettings, Positive, Settings
from synthood.generators.diffusion.samplers.base import AnySampler, default_sampler


def a_scale(value: object) -> object:
    """Passes a length or `released`; says both where it is neither."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "released" or (number and 0 < value < math.inf):  # type: ignore[operator]  # `number` says that it is one
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
        Literal["word", "first-token", "nothing"],
        Field(
            description="word: one new token for it; first-token: its others stay, as the papers' code does; nothing: "
            "the prompt is left as it is, which that code comes to on CIFAR-10"
        ),
    ] = "word"
    attempts_per_class: Annotated[int, Field(ge=1, description="latents sampled of each class; what the gate sees")]
    sample: AnySampler = default_sampler()


class TokenLatents(Settings):
    """Latents sampled from prompts whose class word is replaced by a token outside the class manifolds."""

    attempts_per_class: Annotated[int, Field(ge=1, description="latents sampled of each class; what the gate sees")]
    sample: AnySampler = default_sampler()


class CurveSettings(Settings):
    """How many latents keep their intended class, over the length of the move."""

    scales: Annotated[list[Positive], Field(min_length=1, description="lengths of the move, as `latents.scale`")]
    attempts_per_class: Annotated[Count, Field(description="latents sampled of each class and length")] = 30


class LatentsJob(JobSettings):
    """One job of `latents`."""

    latents: LatentsSettings | TokenLatents


class ScaleCurveSettings(JobSettings):
    """One job of `scale_curve`."""

    latents: LatentsSettings
    curve: CurveSettings

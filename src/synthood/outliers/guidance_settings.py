"""Settings of the stage `guided`."""

from typing import Annotated

from pydantic import Field

from synthood.common.settings import REAL_IMAGES, Count, JobSettings, Name, Positive, Ref, Seed, Settings
from synthood.generators.diffusion.samplers.base import AnySampler, default_sampler


class GuidanceSettings(Settings):
    """Images of plain prompts, whose denoising is led away from what an ID classifier knows."""

    classifier: Annotated[
        Name,
        Ref("recipes", seed="classifier_seed", without=REAL_IMAGES),
        Field(description="a recipe that learns from real images alone, not the judge"),
    ]
    classifier_seed: Annotated[Seed, Field(description="training seed of the classifier")] = 0
    energy: Annotated[float, Field(ge=0, description="scale of the gradient towards a low log partition")] = 0.0
    distance: Annotated[
        float, Field(ge=0, description="scale of the gradient towards features far from all ID training features")
    ] = 0.0
    k: Annotated[Count, Field(description="neighbours; distances are to the k-th")] = 10
    share: Annotated[float, Field(gt=0, le=1, description="of the steps that are guided, from the first on")] = 1.0
    longest: Annotated[
        Positive, Field(description="length of latents, in lengths of noise, beyond which guidance has diverged")
    ] = 3.0
    attempts_per_class: Annotated[int, Field(ge=1, description="latents sampled of each class; what the gate sees")]
    sample: AnySampler = default_sampler()


class GuidedJob(JobSettings):
    """One job of `guided`."""

    guidance: GuidanceSettings

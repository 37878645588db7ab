"""The kinds of the `generators` section as unions, and the settings of its jobs."""

from typing import Annotated

from pydantic import Field

from synthood.common.precision import Precision
from synthood.common.settings import Count, JobSettings
from synthood.generators.biggan.settings import BigGAN, BigGANFitting, BigGANSampling
from synthood.generators.diffusion.settings import StableDiffusion, StableDiffusionFitting, StableDiffusionSampling
from synthood.generators.ready_made_settings import ReadyMade, ReadyMadeReading, ReadyMadeSampling

Generator = Annotated[BigGAN | StableDiffusion | ReadyMade, Field(discriminator="kind")]
Fitting = Annotated[BigGANFitting | StableDiffusionFitting | ReadyMadeReading, Field(discriminator="kind")]
Sampling = Annotated[BigGANSampling | StableDiffusionSampling | ReadyMadeSampling, Field(discriminator="kind")]


class FitSettings(JobSettings):
    """One job of `fit_generator`."""

    generator: Fitting
    precision: Precision = "auto"


class BlockSettings(JobSettings):
    """One job of `synthesise`: images `block * block_size` and on, of which `count` are kept."""

    generator: Sampling
    block: Annotated[int, Field(ge=0)]
    block_size: Count
    count: Count

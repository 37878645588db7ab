"""Settings of Stable Diffusion: how it is fitted and how it is sampled."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import Count, Name, Positive, Seed, Settings
from synthood.generators.amount import Amount


class StableDiffusionFit(Settings):
    """A miniature latent diffusion model and how it learns: first the autoencoder, then U-Net and text encoder."""

    prompt: Annotated[str, Field(pattern=r"\{word\}")] = "a photo of the digit {word}"
    also: Annotated[list[Name], Field(description="extra sets of the dataset that it learns as well")] = []
    autoencoder_steps: Count
    denoiser_steps: Count
    batch_size: Count = 64
    autoencoder_channels: Annotated[list[Count], Field(min_length=1)] = [8, 16, 32]
    denoiser_channels: Annotated[list[Count], Field(min_length=2, max_length=2)] = [32, 64]
    text_width: Count = 64
    learning_rate: Positive = 2e-3
    seed: Seed = 0


class StableDiffusionSample(Settings):
    """How images are drawn from Stable Diffusion."""

    steps: Annotated[int, Field(ge=1, description="of DPM-Solver++ (arXiv 2211.01095)")] = 10
    guidance: Annotated[float, Field(ge=1)] = 2.0
    batch_size: Annotated[int, Field(ge=1, description="images sampled at once; part of the result's last bits")] = 100
    seed: Seed = 0


class StableDiffusionFitting(Settings):
    """What `fit_generator` needs of Stable Diffusion."""

    kind: Literal["stable-diffusion"]
    fit: StableDiffusionFit


class StableDiffusionSampling(Settings):
    """What `synthesise` needs of Stable Diffusion."""

    kind: Literal["stable-diffusion"]
    sample: StableDiffusionSample = StableDiffusionSample()


class StableDiffusion(StableDiffusionFitting, StableDiffusionSampling, Amount):
    """A diffusers.StableDiffusionPipeline, fitted on the ID training images and the extra sets in `fit.also`."""

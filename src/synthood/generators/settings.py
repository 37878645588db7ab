"""Settings of the `generators` section: how each is fitted and how it is sampled."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.precision import Precision
from synthood.common.settings import Count, Fraction, Name, Positive, Seed, Settings


class BigGANFit(Settings):
    """A small BigGAN generator and how it learns."""

    objective: Annotated[
        Literal["vae-gan", "hinge"],
        Field(description="vae-gan: decoder of a conditional VAE plus discriminator; hinge: for large sets only"),
    ] = "vae-gan"
    steps: Count
    batch_size: Annotated[int, Field(ge=2)] = 32
    learning_rate: Positive = 2e-3
    latent_size: Count = 16
    channel_width: Annotated[int, Field(ge=8)] = 16
    reconstruction_variance: Annotated[Positive, Field(description="sigma^2 of the VAE's pixels in [-1,1]")] = 3.0
    adversarial_from: Annotated[Fraction, Field(description="share of the steps before the discriminator")] = 0.5
    adversarial_weight: Annotated[float, Field(ge=0)] = 15.0
    shift: Annotated[int, Field(ge=0, description="random shift of real images, in pixels")] = 3
    seed: Seed = 0


class BigGANSample(Settings):
    """How images are drawn from a BigGAN."""

    truncation: Annotated[float, Field(gt=0, le=1, multiple_of=1 / 16, description="statistics exist per 1/16")] = 1.0
    seed: Seed = 0


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


class BigGANFitting(Settings):
    """What `fit_generator` needs of a BigGAN."""

    kind: Literal["biggan"]
    fit: BigGANFit


class BigGANSampling(Settings):
    """What `synthesise` needs of a BigGAN."""

    kind: Literal["biggan"]
    sample: BigGANSample = BigGANSample()


class StableDiffusionFitting(Settings):
    """What `fit_generator` needs of Stable Diffusion."""

    kind: Literal["stable-diffusion"]
    fit: StableDiffusionFit


class StableDiffusionSampling(Settings):
    """What `synthesise` needs of Stable Diffusion."""

    kind: Literal["stable-diffusion"]
    sample: StableDiffusionSample = StableDiffusionSample()


class Amount(Settings):
    """How many images a generator makes; block k holds images k * block_size and on."""

    images_per_class: Count
    block_size: Annotated[int, Field(ge=1, description="images in one job and file")]

    def block_counts(self, classes: int) -> list[int]:
        """The images kept of each block; only the last may be cut."""
        total = classes * self.images_per_class
        return [min(self.block_size, total - first) for first in range(0, total, self.block_size)]


class BigGAN(BigGANFitting, BigGANSampling, Amount):
    """BigGAN-deep (arXiv 1809.11096) by pytorch-pretrained-biggan, fitted on the ID training images."""


class StableDiffusion(StableDiffusionFitting, StableDiffusionSampling, Amount):
    """A diffusers.StableDiffusionPipeline, fitted on the ID training images and the extra sets in `fit.also`."""


Generator = Annotated[BigGAN | StableDiffusion, Field(discriminator="kind")]
Fitting = Annotated[BigGANFitting | StableDiffusionFitting, Field(discriminator="kind")]
Sampling = Annotated[BigGANSampling | StableDiffusionSampling, Field(discriminator="kind")]


class FitSettings(Settings):
    """One job of `fit_generator`."""

    generator: Fitting
    precision: Precision = "auto"


class BlockSettings(Settings):
    """One job of `synthesise`: images `block * block_size` and on, of which `count` are kept."""

    generator: Sampling
    block: Annotated[int, Field(ge=0)]
    block_size: Count
    count: Count


class AssessSettings(Settings):
    """The `assess` section: who judges synthetic images, and by how many."""

    judge: Annotated[Name, Field(description="a recipe trained on real images alone")]
    judge_seed: Annotated[Seed, Field(description="apart from the seeds of every table")] = 1000
    images: Annotated[int, Field(ge=2, description="synthetic images assessed, the first of them")] = 600
    shift: Annotated[int, Field(ge=0, description="pixels over which the nearest training image is sought")] = 3

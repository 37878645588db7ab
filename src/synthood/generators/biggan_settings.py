"""Settings of BigGAN: how it is fitted and how it is sampled."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import Count, Fraction, Positive, Seed, Settings
from synthood.generators.amount import Amount


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


class BigGANFitting(Settings):
    """What `fit_generator` needs of a BigGAN."""

    kind: Literal["biggan"]
    fit: BigGANFit


class BigGANSampling(Settings):
    """What `synthesise` needs of a BigGAN."""

    kind: Literal["biggan"]
    sample: BigGANSample = BigGANSample()


class BigGAN(BigGANFitting, BigGANSampling, Amount):
    """BigGAN-deep (arXiv 1809.11096) by pytorch-pretrained-biggan, fitted on the ID training images."""

"""Settings of BigGAN: how it is fitted or taken from elsewhere, and how it is sampled."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from synthood.common.settings import REAL_IMAGES, Count, Fraction, Name, Positive, Ref, Seed, Settings
from synthood.data.files.settings import ClassName

Policy = Literal["colour", "translation", "cutout"]


class BigGANFit(Settings):
    """A small BigGAN generator for small sets: the decoder of a conditional VAE with a discriminator."""

    objective: Literal["vae-gan"] = "vae-gan"
    steps: Annotated[Count, Field(description="updates of the weights")]
    batch_size: Annotated[int, Field(ge=2, description="real images of a step")] = 32
    learning_rate: Annotated[Positive, Field(description="of the encoder and the generator, by Adam")] = 2e-3
    latent_size: Annotated[Count, Field(description="dimensions of the noise, and of a class embedding")] = 16
    channel_width: Annotated[int, Field(ge=8, description="channels of the last block; earlier ones have more")] = 16
    reconstruction_variance: Annotated[Positive, Field(description="sigma^2 of the VAE's pixels in [-1,1]")] = 3.0
    adversarial_from: Annotated[Fraction, Field(description="share of the steps before the discriminator")] = 0.5
    adversarial_weight: Annotated[float, Field(ge=0, description="of the discriminator in the loss")] = 15.0
    shift: Annotated[int, Field(ge=0, description="random shift of real images, in pixels")] = 3
    seed: Seed = 0


class Watch(Settings):
    """What is measured during a fit, and what counts as failure."""

    every: Annotated[int, Field(ge=1, description="steps between two measurements; the end is always measured")] = 1000
    images: Annotated[int, Field(ge=2, description="images made for each, in equal numbers per class")] = 2000
    classifier: Annotated[
        Name | None,
        Ref("recipes", seed="classifier_seed", without=REAL_IMAGES),
        Field(description="a recipe on real images alone: FID on its features chooses what is kept"),
    ] = None
    classifier_seed: Annotated[Seed, Field(description="training seed of the classifier")] = 1001
    min_diversity: Annotated[
        Fraction, Field(description="a class is collapsed below this share of its real images' mean distance")
    ] = 0.5
    on_collapse: Annotated[
        Literal["error", "warn"], Field(description="where no measurement was free of collapsed classes")
    ] = "error"


class HingeFit(Settings):
    """A BigGAN generator against a residual projection discriminator by the hinge loss, for 32, 64 or 128 pixels."""

    objective: Literal["hinge"]
    steps: Annotated[int, Field(ge=1, description="of the generator")]
    batch_size: Annotated[int, Field(ge=2, description="images of a step")] = 64
    accumulate: Annotated[int, Field(ge=1, description="parts of a batch, one after the other, for less memory")] = 1
    learning_rate: Annotated[Positive, Field(description="of the generator")] = 1e-4
    discriminator_learning_rate: Annotated[Positive, Field(description="of the discriminator")] = 4e-4
    discriminator_steps: Annotated[int, Field(ge=1, description="for each step of the generator")] = 1
    latent_size: Annotated[Count, Field(description="dimensions of the noise, and of a class embedding")] = 64
    channel_width: Annotated[int, Field(ge=8, description="channels of the last block; earlier ones have more")] = 32
    discriminator_width: Annotated[int, Field(ge=8, description="channels of its first block")] = 32
    augmentation: Annotated[list[Policy], Field(description="differentiable, of real and made images")] = [
        "colour",
        "translation",
        "cutout",
    ]
    flip: Annotated[bool, Field(description="mirror real images with probability one half")] = False
    average_decay: Annotated[float, Field(ge=0, lt=1, description="of the averaged weights, which are kept")] = 0.999
    watch: Watch = Watch()
    seed: Seed = 0


def _objective(value: Any) -> Any:
    return value.get("objective", "vae-gan") if isinstance(value, dict) else getattr(value, "objective", None)


Fit = Annotated[Annotated[BigGANFit, Tag("vae-gan")] | Annotated[HingeFit, Tag("hinge")], Discriminator(_objective)]


WordNetId = Annotated[str, Field(pattern=r"^n\d{8}$")]
ImageNetClass = WordNetId | Annotated[int, Field(ge=0, le=999)]


class Pretrained(Settings):
    """A BigGAN of ImageNet's classes, and which of them an ID class consists of."""

    source: Annotated[
        str,
        Field(
            alias="from",
            min_length=1,
            description="folder of config.json and pytorch_model.bin; or biggan-deep-128, -256, -512, then downloaded",
        ),
    ]
    sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$", description="of pytorch_model.bin")] = None
    class_ids: Annotated[
        dict[ClassName, Annotated[list[ImageNetClass], Field(min_length=1)]],
        Field(description="WordNet ids or numbers by ID class; default: the ID classes' names are WordNet ids"),
    ] = {}


class BigGANSample(Settings):
    """How images are drawn from a BigGAN."""

    truncation: Annotated[float, Field(gt=0, le=1, description="statistics between those stored are interpolated")] = (
        1.0
    )
    seed: Seed = 0

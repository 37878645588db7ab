"""Settings of the stages `invert`, `fit_flow` and `tails`."""

from typing import Annotated

from pydantic import Field

from synthood.common.settings import Count, Fraction, Positive, Seed, Settings


class InversionSettings(Settings):
    """A token for each ID image, by the generator's own denoising loss."""

    per_class: Annotated[
        int | None, Field(ge=2, description="ID images of each class, drawn by the seed; all by default")
    ] = None
    steps: Annotated[Count, Field(description="of Adam, from the class word's own embedding on")] = 3
    draws: Annotated[Count, Field(description="of noise and time, in each step")] = 32
    learning_rate: Annotated[
        Positive, Field(description="of Adam, in root mean squares of the class word's embedding")
    ] = 0.7
    batch_size: Annotated[Count, Field(description="noisy latents that the U-Net takes at once")] = 64
    seed: Seed = 0


class FlowSettings(Settings):
    """A network that keeps volumes, of the tokens of all classes."""

    layers: Annotated[Count, Field(description="couplings, with a rotation before each and after the last")] = 4
    width: Annotated[Count, Field(description="of a coupling's hidden layers, in halves of a token's dimensions")] = 4
    variance: Annotated[
        Fraction, Field(description="share of the classes' variance that principal directions held at 0 would lose")
    ] = 0.05
    epochs: Annotated[Count, Field(description="passes over the tokens")] = 200
    batch_size: Annotated[int, Field(ge=2, description="tokens of a step")] = 64
    learning_rate: Annotated[Positive, Field(description="the highest, of Adam; falls linearly to a tenth")] = 1e-4
    seed: Seed = 0


class TailSettings(Settings):
    """Tokens outside the class manifolds: from the Gaussians' tails."""

    quantile: Annotated[
        float, Field(gt=0, lt=1, description="of the distances under a class's Gaussian, from which outliers are drawn")
    ] = 0.997
    shrinkage: Annotated[
        Fraction,
        Field(description="of a class's covariance towards its mean variance, so that new images are near it, too"),
    ] = 0.1
    per_class: Annotated[Count, Field(description="outliers drawn of each class")] = 100
    seed: Seed = 0

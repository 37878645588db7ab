"""Settings of the `recipes` section: how a classifier comes about."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common.precision import Precision
from synthood.common.settings import Count, Fraction, Name, Positive, Seed, Settings


class Network(Settings):
    """A residual network of the CIFAR kind; `width` is the first stage's.

    Below 8 channels oneDNN's backward pass of a strided 1x1 convolution writes out of bounds (torch 2.15).
    """

    name: Literal["resnet8", "resnet14", "resnet20", "resnet18"]
    width: Annotated[int, Field(ge=8)] = 16


class Augmentation(Settings):
    """What happens to each training image, real or synthetic."""

    shift: Annotated[int, Field(ge=0, description="pixels in each direction")] = 0
    padding: Literal["zero", "replicate"] = "replicate"
    flip: Annotated[bool, Field(description="mirror with probability one half")] = False
    cutout: Annotated[int, Field(ge=0, description="side of the square that is erased, in pixels")] = 0


class Synthetic(Settings):
    """SIO (arXiv 2303.14531): a share 1 - alpha of every batch is synthetic ID images."""

    from_: Annotated[Name, Field(alias="from", description="a generator")]
    alpha: Annotated[float, Field(gt=0, le=1, description="share of real images in a batch")]


class Teacher(Settings):
    """Distillation of a teacher's logits (arXiv 1503.02531)."""

    recipe: Annotated[Name, Field(description="the teacher's recipe, trained with `seed` or the student's own")]
    seed: Seed | None = None
    weight: Positive = 4.0
    temperature: Positive = 1.0


class RecipeSettings(Settings):
    """One way of training; `like: other` takes another's keys first and is resolved before this model."""

    network: Network
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive
    final_learning_rate: Annotated[float, Field(ge=0)] = 1e-6
    warmup: Annotated[Fraction, Field(description="share of the steps with rising learning rate")] = 0.0
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augmentation: Augmentation = Augmentation()
    synthetic: Synthetic | None = None
    warm_start: Annotated[Name | None, Field(description="recipe whose weights of the same seed come first")] = None
    teacher: Teacher | None = None
    precision: Annotated[Precision | None, Field(description="instead of the top level's")] = None

    @model_validator(mode="after")
    def _both_kinds_of_images(self) -> "RecipeSettings":
        if self.synthetic and self.synthetic.alpha < 1 and not 0 < self.real_per_batch < self.batch_size:
            raise ValueError(
                f"synthetic.alpha {self.synthetic.alpha} leaves {self.real_per_batch} real and "
                f"{self.batch_size - self.real_per_batch} synthetic images of a batch of {self.batch_size}; "
                f"take alpha from 1/{self.batch_size} to just below 1, or 1"
            )
        return self

    @property
    def real_per_batch(self) -> int:
        """n_real = floor(B * alpha), robust against rounding of the product."""
        alpha = self.synthetic.alpha if self.synthetic else 1.0
        return math.floor(self.batch_size * alpha + 1e-9)

    @property
    def effective_alpha(self) -> float:
        """n_real / B: the weight of real images in the objective."""
        return self.real_per_batch / self.batch_size


class TrainSettings(Settings):
    """One job of `train`, the seed apart."""

    recipe: RecipeSettings
    precision: Precision = "auto"

"""Settings of the `recipes` section: how a classifier comes about."""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from synthood.common.precision import Precision
from synthood.common.settings import Count, Fraction, Name, Positive, Seed, Settings
from synthood.training.method_settings import AugMix, Mixing, PixMix, RandAugment


class Network(Settings):
    """A residual network of the CIFAR kind; `width` is the first stage's.

    Below 8 channels oneDNN's backward pass of a strided 1x1 convolution writes out of bounds (torch 2.15).
    """

    name: Literal["resnet8", "resnet14", "resnet20", "resnet18"]
    width: Annotated[int, Field(ge=8)] = 16
    shortcut: Annotated[
        Literal["projected", "padded"],
        Field(description="where the shape changes: a 1x1 convolution, or every second pixel and channels of zeros"),
    ] = "projected"


class Augmentation(Settings):
    """What happens to each training image, real or synthetic: first to its pixels, then shift, flip and Cutout."""

    randaugment: RandAugment | None = None
    augmix: AugMix | None = None
    pixmix: PixMix | None = None
    shift: Annotated[int, Field(ge=0, description="pixels in each direction")] = 0
    padding: Literal["zero", "replicate"] = "replicate"
    flip: Annotated[bool, Field(description="mirror with probability one half")] = False
    cutout: Annotated[int, Field(ge=0, description="side of the square that is erased, in pixels")] = 0


class Synthetic(Settings):
    """SIO (arXiv 2303.14531): a share 1 - alpha of every batch is synthetic ID images."""

    from_: Annotated[Name, Field(alias="from", description="a generator")]
    alpha: Annotated[float, Field(gt=0, le=1, description="share of real images in a batch")]


class Teacher(Settings):
    """Distillation of a teacher's logits (arXiv 1503.02531) and features."""

    recipe: Annotated[Name, Field(description="the teacher's recipe, trained with `seed` or the student's own")]
    seed: Seed | None = None
    logit_weight: Annotated[float, Field(ge=0)] = 4.0
    temperature: Annotated[Positive, Field(description="of the logits")] = 1.0
    feature_weight: Annotated[float, Field(ge=0)] = 0.0
    feature_form: Annotated[
        Literal["cosine", "released"],
        Field(description="cosine: a projection of the student's features; released: the papers' code"),
    ] = "cosine"


class OutlierTerms(Settings):
    """Contrast of features against synthetic outliers (OAL, arXiv 2406.16525), beside the recipe's other losses."""

    from_: Annotated[Name, Field(alias="from", description="a section of `outliers`")]
    boundary_weight: Annotated[float, Field(ge=0, description="of boundary embeddings; 0 leaves them out")] = 0.1
    latent_weight: Annotated[float, Field(ge=0, description="of latents; 0 leaves them out")] = 0.2
    estimator: Annotated[
        Literal["infonce", "club", "club-released"],
        Field(description="infonce: a lower bound raised; club: an upper bound lowered; club-released: as published"),
    ] = "infonce"
    temperature: Annotated[Positive, Field(description="of the cosines under infonce")] = 0.1
    take: Annotated[
        Literal["outliers", "other-classes"],
        Field(description="other-classes: ID samples of other classes in the outliers' place, a control"),
    ] = "outliers"
    latent_form: Annotated[
        Literal["whole", "row-mean"], Field(description="of latents under club; row-mean as published")
    ] = "whole"

    @model_validator(mode="after")
    def _something_to_contrast(self) -> "OutlierTerms":
        if not self.boundary_weight and not self.latent_weight:
            raise ValueError("boundary_weight and latent_weight are both 0; raise one, or take `outliers` away")
        if self.latent_form == "row-mean" and self.estimator == "infonce":
            raise ValueError("latent_form row-mean goes with the estimators club and club-released alone")
        return self

    @property
    def maps_both_kinds(self) -> bool:
        """Whether training fits heads that bring outliers of both kinds into one space."""
        weights = self.boundary_weight and self.latent_weight
        return bool(weights) and self.estimator == "infonce" and self.take == "outliers"


class RecipeSettings(Settings):
    """One way of training; `like: other` takes another's keys first and is resolved before this model."""

    kind: Literal["train"] = "train"
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
    mixing: Mixing | None = None
    synthetic: Synthetic | None = None
    warm_start: Annotated[Name | None, Field(description="recipe whose weights of the same seed come first")] = None
    teacher: Teacher | None = None
    outliers: OutlierTerms | None = None
    head_learning_rate: Annotated[Positive, Field(description="of what learns beside the network, by Adam")] = 1e-3
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

    @model_validator(mode="after")
    def _labels_of_one_class(self) -> "RecipeSettings":
        if self.mixing and self.mixing.kind != "regmixup" and self.outliers:
            raise ValueError(f"mixing.kind {self.mixing.kind} blends labels, which `outliers` needs whole")
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


class CheckpointRecipe(Settings):
    """A model trained elsewhere: the file of its state dict, and what its inputs were normalised by, in [0,1]."""

    synthetic: ClassVar[None] = None
    warm_start: ClassVar[None] = None
    teacher: ClassVar[None] = None
    outliers: ClassVar[None] = None

    kind: Literal["checkpoint"]
    path: Annotated[str, Field(min_length=1, description="{seed} in it stands for the seed; without, one for all")]
    network: Network
    mean: Annotated[list[Fraction], Field(min_length=3, max_length=3)]
    deviation: Annotated[list[Positive], Field(min_length=3, max_length=3)]

    @field_validator("path")
    @classmethod
    def _only_the_seed_is_filled_in(cls, path: str) -> str:
        left = path.replace("{seed}", "")
        if "{" in left or "}" in left:
            raise ValueError(f"{path!r} has braces around something else than {{seed}}")
        return path

    def of_seed(self, seed: int | str) -> "CheckpointRecipe":
        """The same with the seed in the path."""
        return self.model_copy(update={"path": self.path.replace("{seed}", str(seed))})


def _kind(value: Any) -> Any:
    return value.get("kind", "train") if isinstance(value, dict) else getattr(value, "kind", "train")


Recipe = Annotated[
    Annotated[RecipeSettings, Tag("train")] | Annotated[CheckpointRecipe, Tag("checkpoint")], Discriminator(_kind)
]


class TrainSettings(Settings):
    """One job of `train`, the seed apart."""

    recipe: RecipeSettings
    precision: Precision = "auto"

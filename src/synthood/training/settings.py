"""Settings of the `recipes` section: how a classifier comes about."""

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from synthood.common.precision import Precision
from synthood.common.settings import BEFORE_THE_END, Count, Fraction, JobSettings, Name, Positive, Ref, Settings
from synthood.training.augmentation.settings import Augmentation
from synthood.training.method_settings import Methods
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.settings import AnyNetwork
from synthood.training.networks.zero_shot import ZeroShotRecipe


class Synthetic(Settings):
    """SIO (arXiv 2303.14531): a share 1 - alpha of every batch is synthetic ID images."""

    from_: Annotated[Name, Ref("generators"), Field(alias="from", description="a generator")]
    alpha: Annotated[float, Field(gt=0, le=1, description="share of real images in a batch, or their weight")]
    form: Annotated[
        Literal["composition", "weighted"],
        Field(description="composition: alpha by the batch's make-up; weighted: by the samples' weights in the loss"),
    ] = "composition"
    share: Annotated[
        float | None, Field(gt=0, lt=1, description="of real images in a batch under `weighted`; alpha's by default")
    ] = None

    @model_validator(mode="after")
    def _share_of_the_weighted(self) -> "Synthetic":
        if self.share is not None and self.form == "composition":
            raise ValueError("share goes with form: weighted; under composition alpha is the share")
        return self


class RecipeSettings(Methods):
    """One way of training; `like: other` takes another's keys first and is resolved before this model."""

    kind: Literal["train"] = "train"
    network: Annotated[AnyNetwork, Field(description="architecture of the classifier")]
    epochs: Annotated[Count, Field(description="passes over the real training images")]
    batch_size: Annotated[int, Field(ge=2, description="images of a step, real and synthetic together")]
    learning_rate: Annotated[Positive, Field(description="the highest; it falls on a cosine")]
    last_layer_learning_rate: Annotated[
        Positive | None, Field(description="of the network's last layer, on the same schedule; learning_rate's if null")
    ] = None
    final_learning_rate: Annotated[float, Field(ge=0, description="at the end of the cosine")] = 1e-6
    warmup: Annotated[Fraction, BEFORE_THE_END, Field(description="share of the steps with rising learning rate")] = 0.0
    restarts: Annotated[int, Field(ge=0, description="of the cosine, at equal distances")] = 0
    optimizer: Annotated[Literal["sgd", "adamw"], Field(description="sgd: with momentum; adamw: decoupled decay")] = (
        "sgd"
    )
    momentum: Annotated[Fraction, Field(description="of SGD; AdamW's first beta")] = 0.9
    nesterov: Annotated[bool, Field(description="SGD's momentum after Nesterov; false: plain")] = True
    weight_decay: Annotated[float, Field(ge=0, description="of all weights, per step")] = 5e-4
    label_smoothing: Annotated[float, Field(ge=0, lt=1, description="share of the label spread over all classes")] = 0.0
    augmentation: Augmentation = Augmentation()
    views: Annotated[
        int,
        Field(ge=0, description="augmented views of a training image whose features are cached; with freeze: backbone"),
    ] = 0
    class_weights: Annotated[
        Literal["none", "balanced"] | dict[str, Positive],
        Field(description="of samples in the loss; balanced: n / (C n_c); or weights by class, 1 where not named"),
    ] = "none"
    sampling: Annotated[
        Literal["uniform", "balanced"],
        Field(description="of images into batches; balanced: every class as often as the others"),
    ] = "uniform"
    dropout: Annotated[float, Field(ge=0, lt=1, description="of features before the last layer")] = 0.0
    synthetic: Synthetic | None = None
    warm_start: Annotated[
        Name | None, Ref("recipes"), Field(description="recipe whose weights of the same seed come first")
    ] = None
    weight_average: Annotated[
        float | None, Field(gt=0, lt=1, description="decay of an average of the weights, which becomes the model")
    ] = None
    on_nan: Annotated[
        Literal["stop", "rollback"],
        Field(description="a loss that is not finite: rollback goes on once, from the epoch's start at half the rate"),
    ] = "stop"
    keep: Annotated[
        Literal["last", "best"],
        Field(
            description="the epoch whose weights become the model; best: by accuracy on the ID validation images, the "
            "latest of equals"
        ),
    ] = "last"
    head_learning_rate: Annotated[Positive, Field(description="of what learns beside the network")] = 1e-3
    head_optimizer: Annotated[
        Literal["adam", "sgd"],
        Field(
            description="of what learns beside the network; adam: at one rate; sgd: with the network's momentum, decay "
            "and course of the rate"
        ),
    ] = "adam"
    precision: Annotated[Precision | None, Field(description="instead of the top level's")] = None
    compile: Annotated[
        Literal["auto", "on", "off", "graphs"],
        Field(description="the network by torch.compile; graphs: as CUDA graphs; auto: that where it pays, on a GPU"),
    ] = "auto"

    @model_validator(mode="after")
    def _both_kinds_of_images(self) -> "RecipeSettings":
        if self.real_share < 1 and not 0 < self.real_per_batch < self.batch_size:
            key = "share" if self.synthetic and self.synthetic.share else "alpha"
            raise ValueError(
                f"synthetic.{key} {self.real_share} leaves {self.real_per_batch} real and "
                f"{self.batch_size - self.real_per_batch} synthetic images of a batch of {self.batch_size}; "
                f"take {key} from 1/{self.batch_size} to just below 1" + (", or 1" if key == "alpha" else "")
            )
        return self

    @model_validator(mode="after")
    def _methods_that_go_together(self) -> "RecipeSettings":
        mixing = next((method for method in self.methods if method.mixes_labels), None)
        hard = next((method for method in self.methods if method.hard_labels), None)
        if mixing and hard:
            raise ValueError(f"{mixing.place} blends labels, which `{hard.place}` needs whole")
        whole = next((each for each in self.methods if not each.per_sample), None)
        if self.weighted and whole:
            raise ValueError(
                f"synthetic.form weighted needs a loss per sample, which `{whole.place}` is not; take form: composition"
            )
        if self.class_weights != "none" and whole:
            raise ValueError(
                f"class_weights need a loss per sample, which `{whole.place}` is not; take sampling: balanced instead"
            )
        if self.class_weights == self.sampling == "balanced":
            raise ValueError("class_weights and sampling both balance the classes; take one of them")
        if self.head_optimizer == "sgd" != self.optimizer:
            raise ValueError("head_optimizer sgd shares the network's momentum and decay; take optimizer: sgd")
        for method in self.methods:
            method.check_recipe(self)
        return self

    @model_validator(mode="after")
    def _what_cached_features_allow(self) -> "RecipeSettings":
        if not self.network.frozen:
            if self.views:
                raise ValueError("views are of cached features; set network.freeze: backbone, or take them away")
            return self
        for method in self.methods:
            if method.needs_pixels:
                raise ValueError(
                    f"{method.place} cannot learn from cached features: {method.needs_pixels}; take it away, or "
                    f"network.freeze: backbone"
                )
        if bool(self.augmentation.steps) != bool(self.views):
            what = "augmentation without views" if self.augmentation.steps else "views without augmentation"
            raise ValueError(f"{what}: a frozen backbone sees each image once and in `views` augmented ones; set both")
        if self.outside(0):
            raise ValueError("augmentation.pixmix.pictures does not go with a frozen backbone; take its fractals")
        return self

    @property
    def heads(self) -> set[str]:
        """What it trains that detectors can read."""
        return {method.head for method in self.methods if method.head} | ({"dropout"} if self.dropout else set())

    @property
    def real_per_batch(self) -> int:
        """n_real = floor(B * alpha), robust against rounding of the product."""
        return math.floor(self.batch_size * self.real_share + 1e-9)

    @property
    def real_share(self) -> float:
        """Share of real images in a batch before it is rounded."""
        if self.synthetic is None:
            return 1.0
        return self.synthetic.alpha if self.synthetic.share is None else self.synthetic.share

    @property
    def weighted(self) -> bool:
        """Whether real and synthetic samples have weights of their own in the loss."""
        return self.synthetic is not None and self.synthetic.form == "weighted" and self.real_share < 1

    @property
    def effective_alpha(self) -> float:
        """The weight of real images in the objective: n_real / B, or alpha itself where samples are weighted."""
        if self.synthetic and self.weighted:
            return self.synthetic.alpha
        return self.real_per_batch / self.batch_size

    def outside(self, seed: int | str) -> str | None:
        """What the user gives for a run besides images: a folder of pictures."""
        return self.augmentation.pixmix.pictures if self.augmentation.pixmix else None


def _kind(value: Any) -> Any:
    return value.get("kind", "train") if isinstance(value, dict) else getattr(value, "kind", "train")


Recipe = Annotated[
    Annotated[RecipeSettings, Tag("train")]
    | Annotated[CheckpointRecipe, Tag("checkpoint")]
    | Annotated[ZeroShotRecipe, Tag("zero-shot")],
    Discriminator(_kind),
]


class TrainSettings(JobSettings):
    """One job of `train`, the seed apart."""

    recipe: RecipeSettings
    precision: Precision = "auto"
    pretrained_state: Annotated[str, Field(description="of the file that training starts from, when planned")] = ""

"""Settings of the `recipes` section: how a classifier comes about."""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from synthood.common.precision import Precision
from synthood.common.settings import BEFORE_THE_END, Count, Fraction, Name, Positive, Ref, Seed, Settings, unless
from synthood.training.method_settings import (
    AugMix,
    Consistency,
    Contrastive,
    Godin,
    Mixing,
    Normalisation,
    PixMix,
    RandAugment,
    Rotation,
    VirtualOutliers,
)
from synthood.training.networks.settings import AnyNetwork, Sha256
from synthood.training.networks.settings import Network as Network
from synthood.training.terms.exposure_settings import DiscrepancyExposure, Exposure, OutlierTerms


class Augmentation(Settings):
    """What happens to each training image, real or synthetic: first to its pixels, then shift, flip and Cutout."""

    randaugment: RandAugment | None = None
    augmix: AugMix | None = None
    pixmix: PixMix | None = None
    shift: Annotated[int, Field(ge=0, description="pixels in each direction")] = 0
    padding: Annotated[
        Literal["zero", "replicate"], Field(description="what shift fills in: zeros, or the nearest pixel of the edge")
    ] = "replicate"
    flip: Annotated[bool, Field(description="mirror with probability one half")] = False
    cutout: Annotated[int, Field(ge=0, description="side of the square that is erased, in pixels")] = 0


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


class Teacher(Settings):
    """Distillation of a teacher's logits (arXiv 1503.02531) and features."""

    recipe: Annotated[
        Name,
        Ref("recipes", seed="seed"),
        Field(description="the teacher's recipe, trained with `seed` or the student's own"),
    ]
    seed: Annotated[Seed | None, Field(description="training seed of the teacher; null: the student's")] = None
    logit_weight: Annotated[float, Field(ge=0, description="of the logits' divergence in the loss")] = 4.0
    temperature: Annotated[Positive, Field(description="of the logits")] = 1.0
    feature_weight: Annotated[float, Field(ge=0, description="of the features' distance in the loss")] = 0.0
    feature_form: Annotated[
        Literal["cosine", "released"],
        Field(description="cosine: a projection of the student's features; released: the papers' code"),
    ] = "cosine"


OF_WHOLE_LABELS = ("mixed", "discrepancy")
"""Kinds of exposure that have a use for the labels of the batch."""


class RecipeSettings(Settings):
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
    optimizer: Annotated[
        Literal["sgd", "adamw"], Field(description="sgd: with Nesterov momentum; adamw: decoupled decay")
    ] = "sgd"
    momentum: Annotated[Fraction, Field(description="of SGD, after Nesterov; AdamW's first beta")] = 0.9
    weight_decay: Annotated[float, Field(ge=0, description="of all weights, per step")] = 5e-4
    label_smoothing: Annotated[float, Field(ge=0, lt=1, description="share of the label spread over all classes")] = 0.0
    augmentation: Augmentation = Augmentation()
    mixing: Annotated[Mixing | None, Field(description="of images and labels of a batch in pairs")] = None
    normalisation: Annotated[Normalisation | None, Field(description="before cross-entropy")] = None
    dropout: Annotated[float, Field(ge=0, lt=1, description="of features before the last layer")] = 0.0
    synthetic: Synthetic | None = None
    warm_start: Annotated[
        Name | None, Ref("recipes"), Field(description="recipe whose weights of the same seed come first")
    ] = None
    teacher: Teacher | None = None
    outliers: OutlierTerms | None = None
    exposure: Annotated[Exposure | None, Field(description="outlier images beside the batch")] = None
    rotation: Rotation | None = None
    consistency: Annotated[Consistency | None, Field(description="of an image with two of AugMix's mixes")] = None
    contrastive: Annotated[Contrastive | None, Field(description="of ID samples with each other")] = None
    virtual_outliers: VirtualOutliers | None = None
    weight_average: Annotated[
        float | None, Field(gt=0, lt=1, description="decay of an average of the weights, which becomes the model")
    ] = None
    on_nan: Annotated[
        Literal["stop", "rollback"],
        Field(description="a loss that is not finite: rollback goes on once, from the epoch's start at half the rate"),
    ] = "stop"
    head_learning_rate: Annotated[Positive, Field(description="of what learns beside the network, by Adam")] = 1e-3
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
    def _terms_that_go_together(self) -> "RecipeSettings":
        of_pairs = [key for key in ("outliers", "contrastive", "virtual_outliers") if getattr(self, key)]
        of_whole = of_pairs + [f"exposure.kind {e.kind}" for e in [self.exposure] if e and e.kind in OF_WHOLE_LABELS]
        if self.mixing and self.mixing.kind != "regmixup" and of_whole:
            raise ValueError(f"mixing.kind {self.mixing.kind} blends labels, which `{of_whole[0]}` needs whole")
        released = ["teacher"] if self.teacher and self.teacher.feature_form == "released" else []
        if self.weighted and (kept := [*of_pairs, *(["mixing"] if self.mixing else []), *released]):
            raise ValueError(
                f"synthetic.form weighted needs a loss per sample, which `{kept[0]}` is not; take form: composition"
            )
        if self.virtual_outliers and self.normalisation and self.normalisation.kind == "t2fnorm":
            raise ValueError("virtual_outliers are drawn among features as they are, which t2fnorm does not train on")
        if self.dropout and self.normalisation and self.normalisation.kind == "godin":
            raise ValueError("dropout acts on what the last layer sees, which godin divides as it is; take one of them")
        if self.exposure and self.exposure.kind == "discrepancy" and self.normalisation:
            raise ValueError("exposure.kind discrepancy needs two last layers alike, and `normalisation` changes one")
        return self

    @property
    def godin(self) -> Godin | None:
        """G-ODIN's division, where the recipe has it."""
        return self.normalisation if isinstance(self.normalisation, Godin) else None

    @property
    def discrepancy(self) -> DiscrepancyExposure | None:
        """MCD's second layer, where the recipe has it."""
        return self.exposure if isinstance(self.exposure, DiscrepancyExposure) else None

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


OfPixels = Annotated[
    float, Field(ge=0), unless(lambda value: value > 1, "expected pixels in [0,1]; divide by 255 what is in 0 to 255")
]


class CheckpointRecipe(Settings):
    """A model trained elsewhere: the file of its state dict, and what its inputs were normalised by, in [0,1]."""

    synthetic: ClassVar[None] = None
    warm_start: ClassVar[None] = None
    teacher: ClassVar[None] = None
    outliers: ClassVar[None] = None
    exposure: ClassVar[None] = None

    kind: Literal["checkpoint"]
    path: Annotated[str, Field(min_length=1, description="{seed} in it stands for the seed; without, one for all")]
    sha256: Sha256 | None = None
    network: Annotated[AnyNetwork, Field(description="architecture that the weights belong to")]
    weights: Annotated[
        str | None,
        Field(min_length=1, description="ema, raw, or the file's entry with the weights; averaged ones (EMA) if null"),
    ] = None
    prefix: Annotated[str | None, Field(description="what the keys of the network's weights begin with")] = None
    ignore: Annotated[
        list[Annotated[str, Field(min_length=1)]], Field(description="patterns of keys that are left out: criterion.*")
    ] = []
    rename: Annotated[
        dict[Annotated[str, Field(min_length=1)], str], Field(description="beginnings of keys, and what they become")
    ] = {}
    mean: Annotated[
        list[OfPixels], Field(min_length=3, max_length=3, description="of red, green and blue, subtracted; in [0,1]")
    ]
    deviation: Annotated[
        list[Annotated[OfPixels, Field(gt=0)]],
        Field(min_length=3, max_length=3, description="SD of red, green and blue, divided by; in [0,1]"),
    ]

    @field_validator("path")
    @classmethod
    def _only_the_seed_is_filled_in(cls, path: str) -> str:
        left = path.replace("{seed}", "")
        if "{" in left or "}" in left:
            raise ValueError(f"{path!r} has braces around something else than {{seed}}")
        return path

    @model_validator(mode="after")
    def _weights_of_one_place(self) -> "CheckpointRecipe":
        if getattr(self.network, "pretrained", None):
            raise ValueError("network.pretrained is for recipes that are trained; here `path` holds the weights")
        if self.sha256 and "{seed}" in self.path:
            raise ValueError("sha256 is of one file, but path has {seed} in it")
        return self

    def of_seed(self, seed: int | str) -> "CheckpointRecipe":
        """The same with the seed in the path."""
        return self.model_copy(update={"path": self.path.replace("{seed}", str(seed))})

    def outside(self, seed: int | str) -> str | None:
        """What the user gives for a run besides images: the file."""
        return self.of_seed(seed).path


def _kind(value: Any) -> Any:
    return value.get("kind", "train") if isinstance(value, dict) else getattr(value, "kind", "train")


Recipe = Annotated[
    Annotated[RecipeSettings, Tag("train")] | Annotated[CheckpointRecipe, Tag("checkpoint")], Discriminator(_kind)
]


class TrainSettings(Settings):
    """One job of `train`, the seed apart."""

    recipe: RecipeSettings
    precision: Precision = "auto"
    pretrained_state: Annotated[str, Field(description="of the file that training starts from, when planned")] = ""


class HeadSettings(Settings):
    """The keys of a recipe whose heads detectors read: all that `extract` needs to know of it."""

    rotation: Rotation | None = None
    contrastive: Contrastive | None = None
    virtual_outliers: VirtualOutliers | None = None
    godin: Godin | None = None
    discrepancy: DiscrepancyExposure | None = None

    @classmethod
    def of(cls, recipe: RecipeSettings | CheckpointRecipe) -> "HeadSettings":
        """Those keys of a recipe; none of a checkpoint."""
        return cls(**{key: getattr(recipe, key, None) for key in cls.model_fields})

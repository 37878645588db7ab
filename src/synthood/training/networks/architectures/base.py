"""What every network of a classifier has: settings that build it, penultimate features, and the last Linear of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import CoreSchema

from synthood.common.lazy import Module, lazy
from synthood.common.seeds import derived_seed
from synthood.common.settings import Count, Interpolation
from synthood.errors import SynthoodError
from synthood.plugins import Plugin
from synthood.training.networks.heads.base import AnyHead, Head, LinearHead
from synthood.training.networks.keys import library_key
from synthood.training.networks.stages import all_frozen, with_norms

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from synthood.common import pixels
    from synthood.common.states import State
else:
    torch, nn, pixels = lazy("torch"), lazy("torch.nn"), lazy("synthood.common.pixels")

ImageSize = Annotated[
    int | None, Field(ge=1, description="side to which images are enlarged, or reduced, before the first layer")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="of the weights' file, checked where given")]
Pretrained = Annotated[str, Field(min_length=1)]
Translation = Callable[[str], str]


@dataclass(frozen=True)
class OwnInputs:
    """What a pretrained network's images were: mean and std of red, green and blue in [0,1], and how they were resized.

    Their shorter side became `shorter` pixels, of which the central `side` x `side` were cut.
    """

    mean: list[float]
    std: list[float]
    side: int
    shorter: int
    interpolation: Interpolation

    def shorter_at(self, side: int) -> int:
        """The shorter side of which a cut of this side shows as much of an image as the network's own."""
        return max(side, round(side * self.shorter / self.side))


class NetworkSettings(Plugin):
    """An architecture of classifiers: its fields are the keys below `network`, where `kind` or `name` chooses it."""

    prefix: ClassVar[str | None] = None
    """What the values of its key `name` begin with, which chooses it without `kind`; the longest one that fits."""

    kind: str

    def build(self, classes: int) -> ImageNetwork:
        """The network for so many classes, initialised from torch's global random numbers."""
        raise NotImplementedError

    def check(self, network: ImageNetwork, height: int, width: int) -> None:
        """Raises SynthoodError where the network cannot be trained on images of this size."""

    def freeze_weights(self, network: ImageNetwork) -> None:
        """Takes the weights that are not to change out of the training; of all or none unless overridden."""

    def check_files(self) -> None:
        """Raises SynthoodError where the files that it names cannot be those of the network; nothing slow is read."""

    @property
    def own_head(self) -> Head:
        """What turns features into logits: one Linear unless a key says otherwise."""
        return LinearHead()

    @property
    def frozen(self) -> bool:
        """Whether the weights below the head stay as they are, so that features can be cached."""
        return False

    @property
    def backbone(self) -> Self:
        """The same with the head that every network has."""
        return self

    @property
    def architecture(self) -> Self:
        """What decides the weights' names and shapes, and what is computed of them."""
        return self

    @property
    def feature_count(self) -> int | None:
        """Penultimate features, where the settings alone tell; None where the network must be built for it."""
        return self.own_head.feature_count

    def described(self) -> dict[str, Any]:
        """For the header of a model's file; `network_described` reads it."""
        return self.architecture.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def own_inputs(self) -> OwnInputs | None:
        """What its pretrained weights expect; none without such, or where that is not known."""
        return None

    def own_weights(self) -> State | None:
        """Weights by their own keys that its library offers to start from; none unless overridden."""
        return None

    def translations(self, network: ImageNetwork) -> list[Translation]:
        """From keys of our own files, and from those of other code."""
        place = network.classifier
        return [str, lambda key: library_key(key, place)] if place else [str]

    @model_serializer(mode="wrap")
    def _with_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": self.kind} | handler(self)
        return found if self.prefix is None else {key: value for key, value in found.items() if key != "kind"}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        found = super().__get_pydantic_json_schema__(schema, handler)
        if cls.prefix is not None:
            del found["properties"]["kind"]
            found["required"] = [key for key in found["required"] if key != "kind"]
        return found


class PretrainedSettings(NetworkSettings):
    """An architecture that has weights from elsewhere to start from, all of which may be kept but the head's."""

    pretrained: Annotated[bool | Pretrained | None, Field(description="weights to start from: a file of them")] = None
    sha256: Sha256 | None = None
    normalisation: Annotated[
        Literal["network", "images"],
        Field(description="network: inputs by the mean and std that pretrained weights expect; images: by the data's"),
    ] = "network"
    freeze: Annotated[
        Literal["none", "stages", "backbone"],
        Field(
            description="backbone: only the head is trained, on features that are computed once; stages: the last "
            "`trained_stages` as well, on images"
        ),
    ] = "none"
    trained_stages: Annotated[
        Count, Field(description="of the backbone, counted from its end; with freeze: stages")
    ] = 1
    head: Annotated[AnyHead, Field(description="what turns features into logits")] = LinearHead()
    image_size: ImageSize = None
    interpolation: Annotated[
        Interpolation | None,
        Field(description="of image_size; null: that of the images of pretrained weights, bilinear without such"),
    ] = None

    @model_validator(mode="after")
    def _a_digest_of_a_file(self) -> Self:
        if self.sha256 and not isinstance(self.pretrained, str):
            raise ValueError("sha256 is of a file; name it in `pretrained`")
        return self

    @model_validator(mode="after")
    def _frozen_weights_are_given(self) -> Self:
        if self.freeze != "none" and not self.pretrained:
            raise ValueError("freeze needs weights that are worth keeping; name them in `pretrained`")
        if self.freeze != "stages" and "trained_stages" in self.model_fields_set:
            raise ValueError("trained_stages goes with freeze: stages")
        return self

    def freeze_weights(self, network: ImageNetwork) -> None:
        if self.freeze != "stages":
            return
        backbone = network.network if isinstance(network, Headed) else network
        stages = with_norms(backbone.stage_weights(), backbone)
        if self.trained_stages >= len(stages):
            raise SynthoodError(
                f"network {getattr(self, 'name', self.kind)}: has {len(stages)} stages, so trained_stages "
                f"{self.trained_stages} freezes none; take fewer, or freeze: none"
            )
        frozen = {name for stage in stages[: -self.trained_stages] for name in stage}
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(name not in frozen)
        backbone.rest = all_frozen(backbone)

    def library_weights(self) -> tuple[str, str | None]:
        """Name of the weights that its library offers, and the SHA-256 of their file where that is known."""
        return "", None

    def trained_on(self, digest: str | None) -> list[str]:
        """Data sets with labels that weights were trained on: of a file with this SHA-256, or its library's own."""
        return []

    @property
    def own_head(self) -> Head:
        return self.head

    @property
    def frozen(self) -> bool:
        return self.freeze == "backbone"

    @property
    def backbone(self) -> Self:
        return self.model_copy(update={"head": LinearHead()})

    @property
    def architecture(self) -> Self:
        unset = {
            key: type(self).model_fields[key].default
            for key in ("pretrained", "sha256", "normalisation", "freeze", "trained_stages")
        }
        resampled = None if self.image_size is None or self.resampling == "bilinear" else self.resampling
        return self.model_copy(update=unset | {"interpolation": resampled})

    @property
    def resampling(self) -> Interpolation:
        """How `image_size` resizes."""
        if self.interpolation is not None:
            return self.interpolation
        own = self.own_inputs() if self.pretrained and self.image_size else None
        return own.interpolation if own else "bilinear"

    def resize(self) -> nn.Module:
        """The first step of the network: to `image_size`, if there is one."""
        return nn.Identity() if self.image_size is None else Resize(self.image_size, self.resampling)


class ImageNetwork(Module):
    """Images float32 [N,3,H,W] to logits [N,C]: `head`, a Linear, of `features`, the penultimate [N,D]."""

    head: nn.Linear
    classifier = ""
    """Where the last Linear is in the model of other code that `model` holds without it."""
    draws = False
    """Whether layers draw from torch's global random numbers in training, which each step seeds."""
    rest: Sequence[nn.Module] = ()
    """Frozen parts, which stay in evaluation mode: their batch normalisation keeps its statistics, nothing drops."""

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in self.rest:
            part.eval()
        return self

    def stage_weights(self) -> list[list[str]]:
        """Names of the parameters below the head, stage by stage from the first; SynthoodError where not known."""
        raise SynthoodError("freeze: stages does not go with this network, whose stages are not known")

    def after_step(self) -> None:
        """Changes the last layer after each step; nothing unless overridden."""

    def features(self, images: Tensor) -> Tensor:
        """Penultimate features [N,D]."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


class Headed(ImageNetwork):
    """A network with another head than one Linear: `network` without its own, the neck and the last Linear."""

    def __init__(self, network: ImageNetwork, form: Head, classes: int) -> None:
        super().__init__()
        self.form, self.network, self.draws = form, network, network.draws
        self.neck, width = form.neck(network.head.in_features)
        del network.head
        self.head = nn.Linear(width, classes)
        self.after_step()

    def features(self, images: Tensor) -> Tensor:
        features: Tensor = self.neck(self.network.features(images))
        return features

    def after_step(self) -> None:
        self.form.after_step(self.head)


class Resize(Module):
    """Images [N,C,H,W] to [N,C,side,side], with Pillow's filter where they shrink."""

    def __init__(self, side: int, interpolation: Interpolation = "bilinear") -> None:
        super().__init__()
        self.side, self.interpolation = side, interpolation

    def forward(self, images: Tensor) -> Tensor:
        return pixels.resized(images, self.side, self.side, self.interpolation)


def build(settings: NetworkSettings, classes: int, seed: int) -> ImageNetwork:
    """The network of a recipe with its head, initialised from the seed alone."""
    return headed(settings, build_plain(settings, classes, seed), classes, seed)


def build_plain(settings: NetworkSettings, classes: int, seed: int) -> ImageNetwork:
    """The network with one Linear as its head, as other code has it, initialised from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = settings.build(classes)
    return network.to(memory_format=torch.channels_last)


def headed(settings: NetworkSettings, network: ImageNetwork, classes: int, seed: int) -> ImageNetwork:
    """The network with the head of its settings; one that is not a plain Linear is drawn from the seed alone."""
    if settings.own_head.plain:
        return network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "head"))
        return Headed(network, settings.own_head, classes)


def channels_last(inputs: Tensor) -> Tensor:
    """Images [N,C,H,W] with their channels last in memory; features [N,D] as they are."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs

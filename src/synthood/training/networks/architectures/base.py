"""What every network of a classifier has: settings that build it, penultimate features, and the last Linear of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer
from pydantic_core import CoreSchema

from synthood.common.lazy import Module, lazy
from synthood.plugins import Plugin
from synthood.training.networks.keys import library_key

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from synthood.common import pixels
    from synthood.common.states import State
else:
    torch, pixels = lazy("torch"), lazy("synthood.common.pixels")

ImageSize = Annotated[
    int | None, Field(ge=1, description="side to which images are enlarged, or reduced, before the first layer")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="of the weights' file, checked where given")]
Pretrained = Annotated[str, Field(min_length=1)]
Translation = Callable[[str], str]


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

    @property
    def architecture(self) -> Self:
        """What decides the weights' names and shapes, and what is computed of them."""
        return self

    def described(self) -> dict[str, Any]:
        """For the header of a model's file; `network_described` reads it."""
        return self.architecture.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def own_statistics(self) -> tuple[list[float], list[float]] | None:
        """Mean and std of red, green and blue in [0,1] that its pretrained weights expect; none without such."""
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


class ImageNetwork(Module):
    """Images float32 [N,3,H,W] to logits [N,C]: `head`, a Linear, of `features`, the penultimate [N,D]."""

    head: nn.Linear
    classifier = ""
    """Where the last Linear is in the model of other code that `model` holds without it."""
    draws = False
    """Whether layers draw from torch's global random numbers in training, which each step seeds."""

    def features(self, images: Tensor) -> Tensor:
        """Penultimate features [N,D]."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


class Resize(Module):
    """Images [N,C,H,W] bilinearly to [N,C,side,side], with Pillow's filter where they shrink."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        return pixels.resized(images, self.side, self.side, "bilinear")


def build(settings: NetworkSettings, classes: int, seed: int) -> ImageNetwork:
    """The network of a recipe, initialised from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = settings.build(classes)
    return network.to(memory_format=torch.channels_last)

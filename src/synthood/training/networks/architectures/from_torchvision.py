"""A classifier of torchvision as one of ours: its features, and its last layer as the last Linear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from synthood.common.lazy import lazy
from synthood.common.settings import Interpolation
from synthood.errors import SynthoodError, nearest
from synthood.training.networks.architectures.base import (
    ImageNetwork,
    OwnInputs,
    Pretrained,
    PretrainedSettings,
)
from synthood.training.networks.stages import stages_of_children

if TYPE_CHECKING:
    from torch import Tensor, nn
else:
    nn = lazy("torch.nn")

TORCHVISION = "torchvision/"
OTHERS = ("googlenet", "inception", "squeezenet")
"""Their logits are not one Linear of their features, or not their only output."""


class TorchvisionNetwork(PretrainedSettings):
    """A classifier of torchvision by its name there, without dropout and stochastic depth."""

    prefix = TORCHVISION

    kind: Literal["torchvision"] = "torchvision"
    name: Annotated[
        str,
        Field(pattern=r"^torchvision/[a-z0-9_]+$", description="torchvision/ and the model's name, in small letters"),
    ]
    pretrained: Annotated[Pretrained | None, Field(description="weights to start from: a file of them")] = None

    def build(self, classes: int) -> ImageNetwork:
        return TorchvisionClassifier(self, classes)

    def own_inputs(self) -> OwnInputs | None:
        from torchvision import models  # its import takes a second

        given = models.get_model_weights(self.name.removeprefix(TORCHVISION)).DEFAULT.transforms()
        mode: Interpolation = "bilinear" if given.interpolation.value == "bilinear" else "bicubic"
        return OwnInputs(list(given.mean), list(given.std), given.crop_size[0], given.resize_size[0], mode)

    def trained_on(self, digest: str | None) -> list[str]:
        from torchvision import models

        short = self.name.removeprefix(TORCHVISION)
        if digest is None or short not in names():
            return []
        # torchvision's addresses end in the first eight digits of the file's SHA-256
        published = {str(one.url).rpartition("-")[2][:8]: one.name for one in models.get_model_weights(short)}
        return ["ImageNet-1k"] if published.get(digest[:8], "").startswith("IMAGENET1K") else []


class TorchvisionClassifier(ImageNetwork):
    """torchvision's model without its last Linear, which is `head`.

    Its dropout and stochastic depth, which draw from global random numbers that no resumed run could repeat, are off.
    """

    def __init__(self, settings: TorchvisionNetwork, classes: int) -> None:
        super().__init__()
        self.name = settings.name
        model = created(settings.name, classes)
        self.resize = settings.resize()
        for layer in model.modules():
            if isinstance(layer, nn.Dropout) or type(layer).__name__ == "StochasticDepth":
                layer.p = 0.0
        self.classifier, self.head = last_linear(model)
        model.set_submodule(self.classifier, nn.Identity())
        self.model = model

    def features(self, images: Tensor) -> Tensor:
        images = self.resize(images)
        side = getattr(self.model, "image_size", None)
        if side is not None and images.shape[2:] != (side, side):
            height, width = images.shape[2:]
            raise SynthoodError(
                f"network {self.name}: takes images of {side} x {side} pixels, got {height} x {width}; "
                f"set network.image_size"
            )
        found: Tensor = self.model(images)
        return found

    def stage_weights(self) -> list[list[str]]:
        return stages_of_children(self.model, "model.")


def names() -> list[str]:
    """Of torchvision's classifiers that can be one of ours."""
    from torchvision import models  # only where one is asked for: its import takes a second

    return [name for name in models.list_models(module=models) if not name.startswith(OTHERS)]


def created(name: str, classes: int) -> Any:
    """torchvision's model with random weights; raises SynthoodError where the name is not one of its classifiers."""
    from torchvision import models

    short, known = name.removeprefix(TORCHVISION), names()
    if short not in known:
        raise SynthoodError(
            f"network {name}: not a classifier of torchvision that ends in one Linear{nearest(short, known)}"
        )
    return models.get_model(short, weights=None, num_classes=classes)


def last_linear(model: nn.Module) -> tuple[str, nn.Linear]:
    return [(place, layer) for place, layer in model.named_modules() if isinstance(layer, nn.Linear)][-1]

"""Residual networks, with penultimate features and the last Linear at hand."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import F, Module, Tensor, nn
from synthood.training.networks.architectures.base import ImageNetwork, ImageSize, NetworkSettings, Resize, Translation
from synthood.training.networks.heads.base import AnyHead, Head, LinearHead
from synthood.training.networks.keys import residual_key

BLOCKS = {
    "resnet8": [1, 1, 1],
    "resnet14": [2, 2, 2],
    "resnet20": [3, 3, 3],
    "resnet32": [5, 5, 5],
    "resnet44": [7, 7, 7],
    "resnet56": [9, 9, 9],
    "resnet110": [18, 18, 18],
    "resnet18": [2, 2, 2, 2],
    "resnet34": [3, 4, 6, 3],
    "resnet50": [3, 4, 6, 3],
    "wrn-40-2": [6, 6, 6],
    "wrn-28-10": [4, 4, 4],
}
"""Blocks of each stage; the width doubles and the side halves from stage to stage (arXiv 1512.03385, 1605.07146)."""
BOTTLENECK = ("resnet50",)
WIDENING = {"wrn-40-2": 2, "wrn-28-10": 10}
EXPANSION = 4


class Network(NetworkSettings):
    """A residual network of the CIFAR kind; `width` is the first stage's.

    Below 8 channels oneDNN's backward pass of a strided 1x1 convolution writes out of bounds (torch 2.15).
    """

    prefix = ""
    is_default = True

    kind: Literal["residual"] = "residual"
    name: Literal[
        "resnet8",
        "resnet14",
        "resnet20",
        "resnet32",
        "resnet44",
        "resnet56",
        "resnet110",
        "resnet18",
        "resnet34",
        "resnet50",
        "wrn-40-2",
        "wrn-28-10",
    ]
    width: Annotated[int, Field(ge=8, description="channels of the first stage")] = 16
    shortcut: Annotated[
        Literal["projected", "padded"],
        Field(description="where the shape changes: a 1x1 convolution, or every second pixel and channels of zeros"),
    ] = "projected"
    stem: Annotated[
        Literal[32, 64, 224],
        Field(description="side of the images: 3x3; 3x3 of stride 2; 7x7 of stride 2 and max-pooling"),
    ] = 32
    image_size: ImageSize = None
    head: Annotated[AnyHead, Field(description="what turns features into logits")] = LinearHead()

    @model_validator(mode="after")
    def _wide_and_bottleneck(self) -> Self:
        if self.shortcut == "padded" and self.name in ("resnet50", "wrn-40-2", "wrn-28-10"):
            raise ValueError(f"shortcut padded goes with basic blocks alone, which {self.name} does not have")
        return self

    def described(self) -> dict[str, Any]:
        """For the header of a model's file, where usual keys go unsaid, as before there were others."""
        usual = {k for k, v in (("stem", 32), ("image_size", None), ("head", LinearHead())) if getattr(self, k) == v}
        return self.model_dump(mode="json", exclude=usual)

    @property
    def own_head(self) -> Head:
        return self.head

    @property
    def backbone(self) -> Self:
        return self.model_copy(update={"head": LinearHead()})

    @property
    def feature_count(self) -> int | None:
        if self.head.feature_count is not None:
            return self.head.feature_count
        wide = self.width * 2 ** (len(BLOCKS[self.name]) - 1) * WIDENING.get(self.name, 1)
        return wide * EXPANSION if self.name in BOTTLENECK else wide

    def build(self, classes: int) -> ImageNetwork:
        return ResNet(self, classes)

    def translations(self, network: ImageNetwork) -> list[Translation]:
        blocks, wide, plain = BLOCKS[self.name], self.name in WIDENING, self.head.plain

        def ours(key: str) -> str:
            found = residual_key(key, blocks, wide)
            return found if plain or found.startswith("head.") else f"network.{found}"

        return [str, ours]


class Padded(Module):
    """Every `stride`-th pixel, with channels of zeros before and behind: a shortcut without weights.

    Option A of arXiv 1512.03385; which channels the zeros are is the choice of the public CIFAR networks.
    """

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        before = (wide - narrow) // 2
        self.stride, self.channels = stride, (before, wide - narrow - before)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.channels))


class BasicBlock(Module):
    """Two 3x3 convolutions and a shortcut, projected or padded where the shape changes."""

    def __init__(self, narrow: int, wide: int, stride: int, padded: bool = False) -> None:
        super().__init__()
        self.convolution1 = nn.Conv2d(narrow, wide, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(wide)
        self.convolution2 = nn.Conv2d(wide, wide, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.shortcut: nn.Module = nn.Identity()
        if padded and (stride != 1 or narrow != wide):
            self.shortcut = Padded(narrow, wide, stride)
        elif stride != 1 or narrow != wide:
            self.shortcut = nn.Sequential(nn.Conv2d(narrow, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.convolution1(x)))
        return F.relu(self.norm2(self.convolution2(out)) + self.shortcut(x))


class Bottleneck(Module):
    """A 3x3 convolution between two of 1x1, the last one four times as wide; the stride is the 3x3's."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        out = EXPANSION * wide
        self.convolution1 = nn.Conv2d(narrow, wide, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(wide)
        self.convolution2 = nn.Conv2d(wide, wide, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.convolution3 = nn.Conv2d(wide, out, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or narrow != out:
            self.shortcut = nn.Sequential(nn.Conv2d(narrow, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.convolution1(x)))
        out = F.relu(self.norm2(self.convolution2(out)))
        return F.relu(self.norm3(self.convolution3(out)) + self.shortcut(x))


class WideBlock(Module):
    """Two 3x3 convolutions, each after its normalisation; a projection starts from the normalised input."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(narrow)
        self.convolution1 = nn.Conv2d(narrow, wide, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.convolution2 = nn.Conv2d(wide, wide, 3, 1, 1, bias=False)
        self.projection = nn.Conv2d(narrow, wide, 1, stride, bias=False) if narrow != wide else None

    def forward(self, x: Tensor) -> Tensor:
        begun = F.relu(self.norm1(x))
        out: Tensor = self.convolution2(F.relu(self.norm2(self.convolution1(begun))))
        return out + (x if self.projection is None else self.projection(begun))


class ResNet(ImageNetwork):
    """Images float32 [N,3,H,W] to logits [N,C]; `features` gives the penultimate [N,D]."""

    def __init__(self, settings: Network, classes: int) -> None:
        super().__init__()
        self.stem = stem(settings)
        widening = WIDENING.get(settings.name)
        layers: list[nn.Module] = []
        narrow = settings.width
        for stage, count in enumerate(BLOCKS[settings.name]):
            wide = settings.width * 2**stage * (widening or 1)
            for index in range(count):
                stride = 2 if stage and not index else 1
                if widening:
                    layers.append(WideBlock(narrow, wide, stride))
                elif settings.name in BOTTLENECK:
                    layers.append(Bottleneck(narrow, wide, stride))
                else:
                    layers.append(BasicBlock(narrow, wide, stride, settings.shortcut == "padded"))
                narrow = wide * EXPANSION if settings.name in BOTTLENECK else wide
        if widening:
            layers += [nn.BatchNorm2d(narrow), nn.ReLU()]
        self.stages = nn.Sequential(*layers)
        self.head = nn.Linear(narrow, classes)

    def features(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.stages(self.stem(images)).mean((2, 3))
        return pooled


def stem(settings: Network) -> nn.Sequential:
    """What comes before the blocks; wide networks normalise in their first block instead."""
    side, width = settings.stem, settings.width
    kernel, stride = {32: (3, 1), 64: (3, 2), 224: (7, 2)}[side]
    layers: list[nn.Module] = [nn.Conv2d(3, width, kernel, stride, kernel // 2, bias=False)]
    if settings.name not in WIDENING:
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
    if side == 224:
        layers.append(nn.MaxPool2d(3, 2, 1))
    # By name, so that resizing, which has no weights, does not move the weights' names.
    named: list[tuple[str, nn.Module]] = [("resize", Resize(settings.image_size))] if settings.image_size else []
    return nn.Sequential(OrderedDict([*named, *((str(index), layer) for index, layer in enumerate(layers))]))

"""DenseNet-BC for small images: bottlenecks of 1x1, transitions that halve the channels (arXiv 1608.06993)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import F, Module, Tensor, nn, torch
from synthood.training.networks.architectures.base import ImageNetwork, ImageSize, NetworkSettings, Resize, Translation
from synthood.training.networks.keys import dense_key

LAYERS = {"densenet-bc-100": 16}
"""Layers of each of the three blocks, of two convolutions each."""


class DenseNetwork(NetworkSettings):
    """DenseNet-BC with 100 layers for images of 32 pixels."""

    prefix = "densenet-"
    paper = "arXiv 1608.06993"

    kind: Literal["dense"] = "dense"
    name: Literal["densenet-bc-100"]
    growth: Annotated[int, Field(ge=4, description="channels that each layer adds")] = 12
    image_size: ImageSize = None

    def build(self, classes: int) -> ImageNetwork:
        return DenseNet(self, classes)

    def translations(self, network: ImageNetwork) -> list[Translation]:
        layers = LAYERS[self.name]
        return [str, lambda key: dense_key(key, layers)]


class DenseLayer(Module):
    """The input and `growth` new channels, in this order."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.convolution1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.convolution2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.convolution1(F.relu(self.norm1(x)))
        return torch.cat([x, self.convolution2(F.relu(self.norm2(out)))], 1)


class Transition(Module):
    """Half of the channels, at half of the side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.convolution1 = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.convolution1(F.relu(self.norm1(x))), 2)


class DenseNet(ImageNetwork):
    """Images float32 [N,3,H,W] to logits [N,C]; `features` gives the penultimate [N,D]."""

    def __init__(self, settings: DenseNetwork, classes: int) -> None:
        super().__init__()
        growth, count = settings.growth, LAYERS[settings.name]
        channels = 2 * growth
        self.resize = nn.Identity() if settings.image_size is None else Resize(settings.image_size)
        self.stem = nn.Conv2d(3, channels, 3, 1, 1, bias=False)
        stages: list[nn.Module] = []
        for block in range(3):
            if block:
                stages.append(Transition(channels))
                channels //= 2
            stages += [DenseLayer(channels + index * growth, growth) for index in range(count)]
            channels += count * growth
        self.stages = nn.Sequential(*stages, nn.BatchNorm2d(channels), nn.ReLU())
        self.head = nn.Linear(channels, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def features(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.stages(self.stem(self.resize(images))).mean((2, 3))
        return pooled

"""Residual networks for small images, with penultimate features and the last Linear at hand."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.training.settings import Network

BLOCKS = {"resnet8": [1, 1, 1], "resnet14": [2, 2, 2], "resnet20": [3, 3, 3], "resnet18": [2, 2, 2, 2]}
"""Basic blocks of each stage; the width doubles and the side halves from stage to stage (arXiv 1512.03385)."""


class Padded(nn.Module):
    """Every `stride`-th pixel, with channels of zeros before and behind: a shortcut without weights.

    Option A of arXiv 1512.03385; which channels the zeros are is the choice of the public CIFAR networks.
    """

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        before = (wide - narrow) // 2
        self.stride, self.channels = stride, (before, wide - narrow - before)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.channels))


class BasicBlock(nn.Module):
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


class ResNet(nn.Module):
    """Images float32 [N,3,H,W] to logits [N,C]; `features` gives the penultimate [N,D]."""

    def __init__(self, blocks: list[int], width: int, classes: int, padded: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        layers: list[nn.Module] = []
        narrow = width
        for stage, count in enumerate(blocks):
            wide = width * 2**stage
            for index in range(count):
                layers.append(BasicBlock(narrow, wide, 2 if stage and not index else 1, padded))
                narrow = wide
        self.stages = nn.Sequential(*layers)
        self.head = nn.Linear(narrow, classes)

    def features(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.stages(self.stem(images)).mean((2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def build(settings: Network, classes: int, seed: int) -> ResNet:
    """The network of a recipe, initialised from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ResNet(BLOCKS[settings.name], settings.width, classes, settings.shortcut == "padded")
    return network.to(memory_format=torch.channels_last)

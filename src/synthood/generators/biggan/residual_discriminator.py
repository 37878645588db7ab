"""The residual projection discriminator (arXiv 1802.05637, 1809.11096) of images from 32 pixels on."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from synthood.generators.biggan.discriminator import group_deviation

LEAST_SIDE = 8
"""Side of the map that the last blocks see."""


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, halved where asked."""

    def __init__(self, narrow: int, wide: int, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.convolution1 = spectral_norm(nn.Conv2d(narrow, wide, 3, 1, 1))
        self.convolution2 = spectral_norm(nn.Conv2d(wide, wide, 3, 1, 1))
        self.shortcut = spectral_norm(nn.Conv2d(narrow, wide, 1)) if narrow != wide else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.convolution2(F.relu(self.convolution1(x if self.first else F.relu(x))))
        if self.halve:
            inner, x = F.avg_pool2d(inner, 2), F.avg_pool2d(x, 2)
        return inner + self.shortcut(x)


class ResidualDiscriminator(nn.Module):
    """Images float [N,3,side,side] and labels int64 [N] to realness [N]; linear term plus class projection.

    Blocks halve the image down to 8x8, doubling the channels from `width` on; two more follow.
    """

    def __init__(self, side: int, classes: int, width: int) -> None:
        super().__init__()
        halvings = int(math.log2(side // LEAST_SIDE))
        widths = [3, *(width * 2**index for index in range(halvings))]
        blocks = [Block(a, b, True, first=a == 3) for a, b in pairwise(widths)]
        last = widths[-1]
        self.blocks = nn.Sequential(*blocks, Block(last, last, False))
        self.last = Block(last + 1, last, False)
        self.linear = spectral_norm(nn.Linear(last, 1))
        self.embedding = spectral_norm(nn.Embedding(classes, last))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        x = self.blocks(images)
        x = F.relu(self.last(torch.cat([x, group_deviation(x.float()).to(x)], 1))).float().sum((2, 3))
        return self.linear(x).squeeze(1).float() + (self.embedding(labels) * x).sum(1)

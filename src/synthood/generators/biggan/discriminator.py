"""A projection discriminator (arXiv 1802.05637) and the augmentation it sees everything through."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

GAIN = 2.0
"""After each leaky ReLU: spectral normalisation shrinks signals, and small ones let classes collapse."""


class Discriminator(nn.Module):
    """Images float32 [N,3,32,32] and labels int64 [N] to realness [N]; linear term plus class projection."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width]
        self.convolutions = nn.ModuleList(
            spectral_norm(nn.Conv2d(narrow, wide, 4, 2, 1)) for narrow, wide in pairwise(widths)
        )
        self.last = spectral_norm(nn.Conv2d(4 * width + 1, 4 * width, 3, 1, 1))
        self.linear = spectral_norm(nn.Linear(4 * width, 1))
        self.embedding = spectral_norm(nn.Embedding(classes, 4 * width))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        x = images
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.2) * GAIN
        x = F.leaky_relu(self.last(torch.cat([x, group_deviation(x)], 1)), 0.2).sum((2, 3))
        return self.linear(x).squeeze(1) + (self.embedding(labels) * x).sum(1)


def group_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Minibatch standard deviation (arXiv 1710.10196), one plane [N,1,H,W]; the batch is a multiple of `group`."""
    count, channels, height, width = x.shape
    group = group if count % group == 0 else 1
    grouped = x.view(group, count // group, channels, height, width)
    deviation = (grouped.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
    return deviation.repeat(group)[:, None, None, None].expand(count, 1, height, width)


def augmented(images: Tensor, random: torch.Generator, shift: int = 4, hole: int = 12) -> Tensor:
    """Differentiable augmentation (arXiv 2006.10738): translation with zero padding, then a square cut out."""
    count, _, height, width = images.shape
    device = images.device
    moves = torch.randint(0, 2 * shift + 1, (count, 2), generator=random).to(device)
    centres = torch.randint(0, height, (count, 2), generator=random).to(device)
    padded = F.pad(images + 1, (shift,) * 4)
    y, x = torch.arange(height, device=device), torch.arange(width, device=device)
    rows, columns = moves[:, :1] + y, moves[:, 1:] + x
    index = torch.arange(count, device=device)[:, None, None]
    moved = padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    row, column = y - centres[:, :1] + hole // 2, x - centres[:, 1:] + hole // 2
    in_row, in_column = (row >= 0) & (row < hole), (column >= 0) & (column < hole)
    kept = ~(in_row[:, :, None] & in_column[:, None, :])
    return moved * kept[:, None] - 1

"""Shift, flip and Cutout of whole batches as tensor operations, each image by its own draw."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.training.augmentation.settings import Augmentation


def augmented(images: Tensor, settings: Augmentation, random: torch.Generator) -> Tensor:
    """Images float32 [N,3,H,W] through shift, flip and Cutout, in this order."""
    if settings.shift:
        images = shifted(images, settings.shift, settings.padding, random)
    if settings.flip:
        images = flipped(images, random)
    if settings.cutout:
        images = cut_out(images, settings.cutout, random)
    return images


def shifted(images: Tensor, pixels: int, padding: Literal["zero", "replicate"], random: torch.Generator) -> Tensor:
    """Moves each image by up to `pixels` in both directions."""
    count, _, height, width = images.shape
    moves = torch.randint(0, 2 * pixels + 1, (count, 2), generator=random).to(images.device, non_blocking=True)
    padded = F.pad(images, (pixels,) * 4, mode="constant" if padding == "zero" else "replicate")
    rows = moves[:, :1] + torch.arange(height, device=images.device)
    columns = moves[:, 1:] + torch.arange(width, device=images.device)
    index = torch.arange(count, device=images.device)[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def flipped(images: Tensor, random: torch.Generator) -> Tensor:
    """Mirrors each image with probability one half."""
    chosen = (torch.rand(len(images), generator=random) < 0.5).to(images.device, non_blocking=True)
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def cut_out(images: Tensor, side: int, random: torch.Generator) -> Tensor:
    """Cutout (arXiv 1708.04552): a square of `side` pixels around a random pixel set to 0, the mean."""
    count, _, height, width = images.shape
    centre = torch.rand((count, 2), generator=random).to(images.device, non_blocking=True)
    row, column = (centre[:, :1] * height).floor(), (centre[:, 1:] * width).floor()
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    in_row = (y >= row - side // 2) & (y < row - side // 2 + side)
    in_column = (x >= column - side // 2) & (x < column - side // 2 + side)
    return images.masked_fill((in_row[:, :, None] & in_column[:, None, :])[:, None], 0.0)

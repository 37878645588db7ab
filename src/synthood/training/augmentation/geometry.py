"""Shift, flip and Cutout of whole batches as tensor operations, each image by its own draw."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, torch
from synthood.training.augmentation.base import AugmentationStep


class Shift(AugmentationStep):
    """Each image moved by up to `shift` pixels in both directions."""

    key = "shift"
    order = 50
    plain = True
    of_inputs = True

    kind: Literal["shift"] = "shift"
    shift: Annotated[int, Field(ge=0, description="pixels in each direction")] = 0
    padding: Annotated[
        Literal["zero", "replicate"], Field(description="what shift fills in: zeros, or the nearest pixel of the edge")
    ] = "replicate"

    def changed(self, images: Tensor, random: torch.Generator) -> Tensor:
        return shifted(images, self.shift, self.padding, random)


class Flip(AugmentationStep):
    """Each image mirrored with probability one half."""

    key = "flip"
    order = 60
    plain = True
    of_inputs = True

    kind: Literal["flip"] = "flip"
    flip: Annotated[bool, Field(description="mirror with probability one half")] = False

    def changed(self, images: Tensor, random: torch.Generator) -> Tensor:
        chosen = (torch.rand(len(images), generator=random) < 0.5).to(images.device, non_blocking=True)
        return torch.where(chosen[:, None, None, None], images.flip(3), images)


class Cutout(AugmentationStep):
    """A square of each image set to 0, the mean."""

    paper = "arXiv 1708.04552"
    key = "cutout"
    order = 70
    plain = True
    of_inputs = True

    kind: Literal["cutout"] = "cutout"
    cutout: Annotated[int, Field(ge=0, description="side of the square that is erased, in pixels")] = 0

    def changed(self, images: Tensor, random: torch.Generator) -> Tensor:
        """The square is around a random pixel, and cut at the edges."""
        count, _, height, width = images.shape
        centre = torch.rand((count, 2), generator=random).to(images.device, non_blocking=True)
        row, column = (centre[:, :1] * height).floor(), (centre[:, 1:] * width).floor()
        y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
        side = self.cutout
        in_row = (y >= row - side // 2) & (y < row - side // 2 + side)
        in_column = (x >= column - side // 2) & (x < column - side // 2 + side)
        return images.masked_fill((in_row[:, :, None] & in_column[:, None, :])[:, None], 0.0)


def shifted(images: Tensor, pixels: int, padding: Literal["zero", "replicate"], random: torch.Generator) -> Tensor:
    """Moves each image by up to `pixels` in both directions."""
    count, _, height, width = images.shape
    moves = torch.randint(0, 2 * pixels + 1, (count, 2), generator=random).to(images.device, non_blocking=True)
    padded = F.pad(images, (pixels,) * 4, mode="constant" if padding == "zero" else "replicate")
    rows = moves[:, :1] + torch.arange(height, device=images.device)
    columns = moves[:, 1:] + torch.arange(width, device=images.device)
    index = torch.arange(count, device=images.device)[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

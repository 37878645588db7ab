"""Crops, shift, flip and Cutout of whole batches as tensor operations, each image by its own draw."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import F, Tensor, torch
from synthood.common.settings import Positive
from synthood.training.augmentation.base import AugmentationStep


class ResizedCrop(AugmentationStep):
    """A random part of each image, resized to the whole frame."""

    paper = "arXiv 1409.4842"
    key = "resized_crop"
    order = 5

    kind: Literal["resized_crop"] = "resized_crop"
    smallest: Annotated[Positive, Field(le=1, description="share of the image's area")] = 0.08
    largest: Annotated[Positive, Field(le=1, description="share of the image's area")] = 1.0
    narrowest: Annotated[Positive, Field(le=1, description="width over height; its inverse is the widest")] = 0.75

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError(f"smallest {self.smallest} is above largest {self.largest}; exchange them")
        return self

    def changed(self, images: Tensor, random: torch.Generator) -> Tensor:
        height, width = images.shape[2:]
        return resized(images, boxes(len(images), height, width, self, random).to(images.device))


class Shift(AugmentationStep):
    """Each image moved by up to `shift` pixels in both directions."""

    key = "shift"
    order = 50
    plain = True

    kind: Literal["shift"] = "shift"
    shift: Annotated[int, Field(ge=0, description="pixels in each direction")] = 0
    padding: Annotated[
        Literal["zero", "replicate", "black"],
        Field(
            description="what shift fills in: zeros after normalisation, which are the mean; the nearest pixel of the "
            "edge; or black pixels, before it"
        ),
    ] = "replicate"

    @property
    def of_inputs(self) -> bool:  # type: ignore[override]  # by its padding, where others have a constant
        return self.padding != "black"

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


TRIES = 10


def boxes(count: int, height: int, width: int, settings: ResizedCrop, random: torch.Generator) -> Tensor:
    """Tops, lefts, heights and widths int64 [N,4] of random parts of images, as torchvision's RandomResizedCrop draws.

    Of ten tries, each with a uniform area and a log-uniform shape, the first that lies in the image; else the largest
    part around its middle whose shape is allowed.
    """
    area = settings.smallest + (settings.largest - settings.smallest) * torch.rand((count, TRIES), generator=random)
    shape = ((2 * torch.rand((count, TRIES), generator=random) - 1) * -math.log(settings.narrowest)).exp()
    heights = (height * width * area / shape).sqrt().round().long()
    widths = (height * width * area * shape).sqrt().round().long()
    fits = (heights > 0) & (widths > 0) & (heights <= height) & (widths <= width)
    first = fits.long().argmax(1, keepdim=True)
    none = ~fits.any(1)
    tall = torch.where(none, min(height, round(width / settings.narrowest)), heights.gather(1, first).squeeze(1))
    wide = torch.where(none, min(width, round(height / settings.narrowest)), widths.gather(1, first).squeeze(1))
    room = torch.stack([height - tall, width - wide], 1)
    place = (torch.rand((count, 2), generator=random) * (room + 1)).long()
    place = torch.where(none[:, None], room // 2, place)
    return torch.cat([place, tall[:, None], wide[:, None]], 1)


def resized(images: Tensor, chosen: Tensor) -> Tensor:
    """The chosen parts [N,4] of images float32 [N,3,H,W], each enlarged to [H,W] by bilinear interpolation."""
    sides = images.shape[2:]

    def coordinates(axis: int) -> Tensor:
        """Where the pixels [N,side] of the result lie, in pixels of the image and within its part."""
        side, first, length = sides[axis], chosen[:, axis, None], chosen[:, axis + 2, None]
        centres = (torch.arange(side, device=images.device) + 0.5) * length / side - 0.5
        return first + centres.clamp(min=0).minimum(length - 1)

    # Of `grid_sample` [-1,1] runs over the pixels' outer edges.
    y, x = ((2 * coordinates(axis) + 1) / sides[axis] - 1 for axis in (0, 1))
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), 3)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def shifted(
    images: Tensor, pixels: int, padding: Literal["zero", "replicate", "black"], random: torch.Generator
) -> Tensor:
    """Moves each image by up to `pixels` in both directions."""
    count, _, height, width = images.shape
    moves = torch.randint(0, 2 * pixels + 1, (count, 2), generator=random).to(images.device, non_blocking=True)
    padded = F.pad(images, (pixels,) * 4, mode="replicate" if padding == "replicate" else "constant")
    return parts(padded, moves, height, width)


def parts(images: Tensor, place: Tensor, height: int, width: int) -> Tensor:
    """Parts [N,3,H,W] of images, from the tops and lefts int64 [N,2] on."""
    rows = place[:, :1] + torch.arange(height, device=images.device)
    columns = place[:, 1:] + torch.arange(width, device=images.device)
    index = torch.arange(len(images), device=images.device)[:, None, None]
    return images[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

"""Operations on the pixels of whole batches, each image by its own strength."""

from __future__ import annotations

import math
from collections.abc import Callable

from synthood.common.lazy import F, Tensor, torch

Operation = Callable[["Tensor", "Tensor"], "Tensor"]
"""Images float32 [N,3,H,W] in [0,1] and strengths [N] in [-1,1] to images of the same kind."""

GREY = (0.2989, 0.587, 0.114)


def warped(images: Tensor, rows: list[list[Tensor]]) -> Tensor:
    """Images sampled at an affine map of each pixel, [2,3] numbers per image, around the centre in pixels."""
    height, width = images.shape[2:]
    (a, b, c), (d, e, f) = rows
    # Coordinates of `affine_grid` run over [-1,1] in both directions, whatever the sides.
    across, down = [a, b * height / width, 2 * c / width], [d * width / height, e, 2 * f / height]
    theta = torch.stack([torch.stack(across, 1), torch.stack(down, 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def rotate(images: Tensor, strength: Tensor) -> Tensor:
    """By up to 30 degrees."""
    angle, zero = strength * math.radians(30), torch.zeros_like(strength)
    return warped(images, [[angle.cos(), angle.sin(), zero], [-angle.sin(), angle.cos(), zero]])


def shear_x(images: Tensor, strength: Tensor) -> Tensor:
    """By up to 0.3 pixels per row."""
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    return warped(images, [[one, 0.3 * strength, zero], [zero, one, zero]])


def shear_y(images: Tensor, strength: Tensor) -> Tensor:
    """By up to 0.3 pixels per column."""
    return shear_x(images.transpose(2, 3), strength).transpose(2, 3)


def translate_x(images: Tensor, strength: Tensor) -> Tensor:
    """By whole pixels, up to 0.45 of the width."""
    one, zero = torch.ones_like(strength), torch.zeros_like(strength)
    pixels = (strength * 0.45 * images.shape[3]).trunc()
    return warped(images, [[one, zero, -pixels], [zero, one, zero]])


def translate_y(images: Tensor, strength: Tensor) -> Tensor:
    """By whole pixels, up to 0.45 of the height."""
    return translate_x(images.transpose(2, 3), strength).transpose(2, 3)


def towards(images: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """Away from another image by a factor 1 + 0.9 s, towards it where s is negative."""
    factor = (1 + 0.9 * strength)[:, None, None, None]
    return (factor * images + (1 - factor) * other).clamp(0, 1)


def grey(images: Tensor) -> Tensor:
    """The brightness [N,1,H,W] that the eye sees."""
    return (images * torch.tensor(GREY).to(images, non_blocking=True)[:, None, None]).sum(1, keepdim=True)


def brightness(images: Tensor, strength: Tensor) -> Tensor:
    return towards(images, torch.zeros_like(images), strength)


def color(images: Tensor, strength: Tensor) -> Tensor:
    return towards(images, grey(images), strength)


def contrast(images: Tensor, strength: Tensor) -> Tensor:
    return towards(images, grey(images).mean((2, 3), keepdim=True), strength)


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Against a 3x3 mean that counts its centre five times; the border stays."""
    kernel = torch.ones((3, 1, 3, 3), device=images.device)
    kernel[:, :, 1, 1] = 5
    blurred = images.clone()
    blurred[:, :, 1:-1, 1:-1] = F.conv2d(images, kernel / 13, groups=3)
    return towards(images, blurred, strength)


def posterize(images: Tensor, strength: Tensor) -> Tensor:
    """Drops up to 4 of the 8 bits."""
    size = 2 ** (4 * strength.abs()).round()[:, None, None, None]
    return (as_bytes(images) / size).floor() * size / 255


def solarize(images: Tensor, strength: Tensor) -> Tensor:
    """Inverts what is at or above 1 - |s|."""
    return torch.where(images >= (1 - strength.abs())[:, None, None, None], 1 - images, images)


def autocontrast(images: Tensor, strength: Tensor) -> Tensor:
    """Stretches each channel over [0,1]; a constant one stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    constant = high == low
    stretched = (images - low) / torch.where(constant, torch.ones_like(high), high - low)
    return torch.where(constant, images, stretched)


def equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Each channel's histogram made flat, in whole numbers as Pillow does it."""
    levels = as_bytes(images).long().flatten(2).flatten(0, 1)
    histogram = torch.zeros((len(levels), 256), dtype=torch.long, device=levels.device)
    histogram.scatter_add_(1, levels, torch.ones_like(levels))
    step = (levels.shape[1] - histogram.gather(1, levels.amax(1, keepdim=True))) // 255
    before = histogram.cumsum(1) - histogram
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step == 0, levels, table.gather(1, levels)).view_as(images) / 255


def as_bytes(images: Tensor) -> Tensor:
    """Whole numbers 0 to 255 as floats."""
    return (images * 255).round().clamp(0, 255)


def identity(images: Tensor, strength: Tensor) -> Tensor:
    return images


OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (
        identity,
        autocontrast,
        equalize,
        posterize,
        rotate,
        solarize,
        shear_x,
        shear_y,
        translate_x,
        translate_y,
        brightness,
        color,
        contrast,
        sharpness,
    )
}
"""RandAugment's (arXiv 1909.13719, section 4) with the ranges of torchvision's."""

PLAIN = (
    "autocontrast",
    "equalize",
    "posterize",
    "rotate",
    "solarize",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
"""AugMix's, which leave out what common corruptions are made of (arXiv 1912.02781, section 3)."""

STRENGTHS: dict[str, Callable[[Tensor], Tensor]] = {
    "rotate": lambda s: (30 * s).trunc() / 30,
    "translate_x": lambda s: s / 3 / 0.45,
    "translate_y": lambda s: s / 3 / 0.45,
    "posterize": lambda s: 1 + (4 * s.abs()).floor() / 4,
    "brightness": lambda s: 2 * s.abs() - 1,
    "color": lambda s: 2 * s.abs() - 1,
    "contrast": lambda s: 2 * s.abs() - 1,
    "sharpness": lambda s: 2 * s.abs() - 1,
}
"""What the code of AugMix and PixMix makes of a strength: whole degrees, a third of the side, 4 - int(4 s) of 8 bits,
and a factor 0.1 + 1.8 |s|, as a strength of the operations above."""


def released(name: str) -> Operation:
    """An operation by the strengths of the papers' code."""
    operation, strength_of = OPERATIONS[name], STRENGTHS.get(name)
    return operation if strength_of is None else lambda images, strength: operation(images, strength_of(strength))


OF_CODE = {f"released-{name}": released(name) for name in (*PLAIN, "color", "contrast", "brightness", "sharpness")}
"""The thirteen operations of PixMix's code (arXiv 2112.05135)."""
RELEASED = tuple(OF_CODE)


def applied(images: Tensor, names: tuple[str, ...], chosen: Tensor, strength: Tensor) -> Tensor:
    """The operation `names[chosen[i]]` on image i, all images of one operation at once; chosen on the CPU."""
    result = images.clone()
    strength = strength.to(images.device, non_blocking=True)
    for index, name in enumerate(names):
        rows = (chosen == index).nonzero().flatten().to(images.device, non_blocking=True)
        if len(rows):
            result[rows] = (OPERATIONS | OF_CODE)[name](images[rows], strength[rows])
    return result

"""Differentiable augmentation (arXiv 2006.10738): what a discriminator sees of real and made images alike."""

import torch
from torch import Tensor

from synthood.generators.biggan.discriminator import augmented
from synthood.generators.biggan.settings import Policy

SHIFT, HOLE = 1 / 8, 1 / 2
"""Largest translation and side of the square cut out, as shares of the image's side."""


def coloured(images: Tensor, random: torch.Generator) -> Tensor:
    """Brightness moved by up to 0.5, then saturation times 0 to 2, then contrast times 0.5 to 1.5, drawn per image."""
    brightness, saturation, contrast = torch.rand((3, len(images), 1, 1, 1), generator=random).to(images)
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (2 * saturation) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def diff_augmented(images: Tensor, policies: list[Policy], random: torch.Generator) -> Tensor:
    """Images float [N,3,H,W] in [-1,1] through the policies, in the paper's order."""
    if "colour" in policies:
        images = coloured(images, random)
    side = images.shape[-1]
    shift = round(side * SHIFT) if "translation" in policies else 0
    hole = round(side * HOLE) if "cutout" in policies else 0
    return augmented(images, random, shift, hole) if shift or hole else images

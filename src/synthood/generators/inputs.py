"""Images as a generator's networks take them."""

from pathlib import Path

import torch
from torch import Tensor

from synthood.common.encoded import is_encoded, open_encoded
from synthood.common.images import ImageSet, read_images


def network_inputs(images: ImageSet) -> Tensor:
    """Images as float32 [N,3,H,W] in [-1,1]."""
    return torch.from_numpy(images.images).permute(0, 3, 1, 2).float() / 127.5 - 1


def glimpse(path: Path) -> ImageSet:
    """The first image of a set and all its classes, which is what a checkpoint that learns nothing needs."""
    if not is_encoded(path):
        return read_images(path)
    images, arrays, header = open_encoded(path)
    return ImageSet(images[:1], arrays["labels"][:1], header["classes"]).check(path)

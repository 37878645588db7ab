"""Images as a generator's networks take them."""

from pathlib import Path

from synthood.common.encoded import is_encoded, open_encoded
from synthood.common.images import ImageSet, read_images


def glimpse(path: Path) -> ImageSet:
    """The first image of a set and all its classes, which is what a checkpoint that learns nothing needs."""
    if not is_encoded(path):
        return read_images(path)
    images, arrays, header = open_encoded(path)
    return ImageSet(images[:1], arrays["labels"][:1], header["classes"]).check(path)

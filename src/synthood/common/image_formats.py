"""The formats of images that are read, and their suffixes."""

from functools import cache

FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "TIFF",
    "PPM",
    "JPEG2000",
    "QOI",
    "SGI",
    "SUN",
    "PCX",
    "TGA",
)
"""What is read, those without a signature last; EPS, PDF, WMF and other formats may start outside programs."""


@cache
def readable() -> tuple[str, ...]:
    """The formats that the installed Pillow has."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def suffixes() -> frozenset[str]:
    """Lower-case suffixes of the readable formats."""
    from PIL import Image

    names = (*readable(), "MPO")  # Pillow opens it as JPEG
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in names)

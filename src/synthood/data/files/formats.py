"""Which files are images: by their suffix, else by their first bytes."""

import struct
from pathlib import Path
from typing import Literal

from synthood.common.image_formats import readable, suffixes

SIGNED = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "JPEG2000", "QOI")
"""Formats whose first bytes cannot be mistaken."""
# fmt: off
UNREADABLE = frozenset((
    ".avif", ".heic", ".heif", ".hif", ".jxl", ".jxr", ".psd", ".xcf", ".svg", ".eps", ".wmf", ".emf", ".exr",
    ".hdr", ".dds", ".dcm", ".raw", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".dng", ".orf", ".rw2",
    ".raf", ".pef", ".srw",
))
# fmt: on
"""Suffixes of images that are not read (AVIF by old versions of Pillow); raw photographs would open as a preview."""
HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
Kind = Literal["image", "unreadable", "other"]


def kind_of(path: Path) -> Kind:
    """Whether a file is an image, one that is not read, or something else; opened where its suffix does not tell."""
    suffix = path.suffix.lower()
    if suffix in suffixes():
        return "image"
    if suffix in UNREADABLE:
        return "unreadable"
    try:
        if not path.is_file():
            return "other"
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError:
        return "other"
    if foreign(start):
        return "unreadable"
    return "image" if _begins_an_image(path, start) else "other"


def foreign(start: bytes) -> str:
    """The name of an image format that is not read, by a file's first bytes; empty where there is none."""
    if start[4:8] == b"ftyp" and start[8:12] in HEIF and b"avif" not in start[:64]:
        return "HEIC"
    if start[:2] == b"\xff\x0a" or start[:12] == b"\0\0\0\x0cJXL \r\n\x87\n":
        return "JPEG XL"
    return "Photoshop" if start[:4] == b"8BPS" else ""


def _begins_an_image(path: Path, start: bytes) -> bool:
    from PIL import Image

    able = [name for name in readable() if _accepts(name, start)]
    if any(name in SIGNED for name in able):
        return True
    try:
        if able:
            Image.open(path, formats=able).close()
    except Exception:  # whatever Pillow's readers raise at a text that begins like an image
        return False
    return bool(able)


def _accepts(name: str, start: bytes) -> bool:
    from PIL import Image

    accept = Image.OPEN[name][1]
    try:
        return accept is not None and accept(start[:16]) is True
    except (IndexError, ValueError, struct.error):  # a file of a few bytes
        return False

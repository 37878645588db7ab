"""IDX files, the format of MNIST and of the data sets in its form."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from synthood.common.lazy import lazy
from synthood.errors import SynthoodError, printable

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

BYTES = 8
"""The type that the magic number names: unsigned bytes."""
ENDING = "-ubyte"
IMAGES, LABELS = "images-idx3", "labels-idx1"


def is_idx(path: Path) -> bool:
    """Whether a file is called as IDX files of bytes are, packed or not."""
    return path.name.removesuffix(".gz").endswith(ENDING)


def unpacked_or_packed(path: Path) -> Path:
    """The file, or the same with `.gz` or without, where that one alone is there."""
    other = path.with_name(path.name.removesuffix(".gz") if path.suffix == ".gz" else f"{path.name}.gz")
    return other if other.exists() and not path.exists() else path


def labels_of(images: Path) -> Path | None:
    """The file of labels that belongs to one of images, packed or not; None where its name says no such thing."""
    name = images.name.replace(IMAGES, LABELS)
    return unpacked_or_packed(images.with_name(name)) if name != images.name else None


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """An array uint8 of an IDX file, or of the same file with `.gz`.

    Raises SynthoodError where the magic number, the number of dimensions or of bytes is another one.
    """
    path = unpacked_or_packed(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return _parsed(stream, path, dimensions)
    except FileNotFoundError as error:
        raise SynthoodError(f"{printable(path)}: not found; give the folder that holds the IDX files") from error
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise SynthoodError(f"{printable(path)}: truncated or damaged ({error}); get the file again") from error


def _parsed(stream: BinaryIO | gzip.GzipFile, path: Path, dimensions: int) -> np.ndarray:
    head = stream.read(4 * (1 + dimensions))
    if len(head) != 4 * (1 + dimensions) or head[:4] != bytes([0, 0, BYTES, dimensions]):
        raise SynthoodError(f"{printable(path)}: not an IDX file of bytes in {dimensions} dimensions")
    shape = tuple(np.frombuffer(head, ">u4", offset=4).tolist())
    body = np.frombuffer(stream.read(), np.uint8)
    if body.size != np.prod(shape, dtype=object):
        found = f"{body.size} bytes for {'x'.join(map(str, shape))}"
        raise SynthoodError(f"{printable(path)}: truncated or damaged ({found}); get the file again")
    return body.reshape(shape)

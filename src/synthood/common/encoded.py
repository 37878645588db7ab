"""Images of more than 64 px: one PNG after the other in a safetensors file, decoded when asked for."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from synthood.common.artefact import verify
from synthood.common.lazy import np
from synthood.common.names import Names
from synthood.common.tensors import head_of_file
from synthood.errors import SynthoodError

LARGEST_RAW = 64
"""Side in pixels up to which images are stored as they are."""
CHUNK = 1 << 22
Encoded = tuple[bytes, bytes, tuple[int, int]]
"""An image's PNG, the digest of its pixels, its height and width."""
Rest = tuple["np.ndarray", dict[str, Any]]


class EncodedImages:
    """Images that act as uint8 [N,H,W,3] under `len`, `shape`, and an index, a slice, or an array of indices."""

    def __init__(self, data: np.ndarray, offsets: np.ndarray, side: tuple[int, int], threads: int = 1) -> None:
        """Takes bytes uint8 [B], offsets int64 [N+1] of the images in them, and height and width."""
        self.data, self.offsets, self.threads = data, offsets, threads
        self.shape = (len(offsets) - 1, *side, 3)
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"image {index} of {len(self)}")
            return self._one(int(index) % len(self))
        positions = np.arange(len(self))[index]
        images = np.empty((len(positions), *self.shape[1:]), np.uint8)
        with ThreadPoolExecutor(self.threads) as pool:
            for place, image in enumerate(pool.map(self._one, positions.tolist())):
                images[place] = image
        return images

    def _one(self, index: int) -> np.ndarray:
        from PIL import Image

        content = bytes(self.data[self.offsets[index] : self.offsets[index + 1]])
        try:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                pixels = np.asarray(image)
        except Exception as error:  # whatever Pillow raises at damaged bytes
            raise SynthoodError(f"image {index} of an image set is damaged ({error}); prepare it again") from error
        if pixels.shape != self.shape[1:]:
            raise SynthoodError(f"image {index} of an image set is {pixels.shape}, not {self.shape[1:]}")
        return pixels


def write_encoded(
    path: Path,
    images: Iterable[np.ndarray],
    threads: int,
    rest: Callable[[], Rest],
    names: Callable[[], Names | None] = lambda: None,
) -> None:
    """Encodes images uint8 [H,W,3] of one size as they come; only their digests stay in memory.

    `rest` is asked for the labels int64 [N] and the header, and `names` for the names of the files, once all images
    have come.
    """
    offsets, digests, sides = [0], [], set()
    with tempfile.TemporaryFile(dir=path.parent) as blob, ThreadPoolExecutor(threads) as pool:
        for content, digest, side in _mapped(pool, images, 16 * threads):
            blob.write(content)
            offsets.append(offsets[-1] + len(content))
            digests.append(digest)
            sides.add(side)
        labels, header = rest()
        if len(sides) != 1 or len(labels) != len(digests):
            raise SynthoodError(f"{path}: {len(digests)} images of sizes {sorted(sides)} for {len(labels)} labels")
        sums = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        arrays = {"labels": labels, "offsets": np.array(offsets, np.int64), "pixel_sha256": sums}
        # Wider types first, so that all are aligned
        named = found.arrays() if (found := names()) is not None else {}
        arrays = dict(sorted((arrays | named).items(), key=lambda item: -item[1].itemsize))
        blob.seek(0)
        with path.open("wb") as stream:
            shapes = {name: (array.dtype, array.shape) for name, array in arrays.items()}
            shapes["encoded"] = np.dtype(np.uint8), (offsets[-1],)
            stream.write(head_of_file(shapes, {**header, "side": list(*sides)}))
            for array in arrays.values():
                stream.write(array.tobytes())
            shutil.copyfileobj(blob, stream, CHUNK)


def _mapped(pool: ThreadPoolExecutor, images: Iterable[np.ndarray], step: int) -> Iterator[Encoded]:
    some: list[np.ndarray] = []
    for image in images:
        some.append(image)
        if len(some) == step:
            yield from pool.map(_encoded, some)
            some = []
    yield from pool.map(_encoded, some)


def _encoded(image: np.ndarray) -> Encoded:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=1)
    return stream.getvalue(), hashlib.sha256(image.tobytes()).digest(), (image.shape[0], image.shape[1])


def is_encoded(path: Path) -> bool:
    """Whether a file holds encoded images; False for anything that cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return "encoded" in file.keys()  # noqa: SIM118
    except (SafetensorError, OSError):
        return False


def open_encoded(path: Path, threads: int = 0) -> tuple[EncodedImages, dict[str, np.ndarray], dict[str, Any]]:
    """The images of a verified file, mapped from disk, with its other arrays and its header."""
    from safetensors import SafetensorError, safe_open

    verify(path, ours=True)
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["synthood"])
            arrays = {name: file.get_tensor(name) for name in file.keys() if name != "encoded"}  # noqa: SIM118
            (length,) = file.get_slice("encoded").get_shape()
        height, width = header["side"]
        offsets = arrays.pop("offsets")
        if not {"labels", "pixel_sha256"} <= arrays.keys() or not isinstance(header["classes"], list):
            raise ValueError(f"it holds {', '.join(arrays)}")
        data = np.memmap(path, np.uint8, "r", path.stat().st_size - length, (length,))
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise SynthoodError(f"{path}: not a file of encoded images ({error}); delete it and run again") from error
    if offsets.dtype != np.int64 or offsets.ndim != 1 or not _runs(offsets, length):
        raise SynthoodError(f"{path}: the places of its images do not fit together; delete it and run again")
    return EncodedImages(data, offsets, (int(height), int(width)), threads or os.cpu_count() or 1), arrays, header


def _runs(offsets: np.ndarray, length: int) -> bool:
    """Whether offsets run from 0 to the end without going back."""
    return bool(len(offsets) > 1 and offsets[0] == 0 and offsets[-1] == length and (np.diff(offsets) > 0).all())

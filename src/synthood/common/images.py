"""Image sets: uint8 images with labels, class names and a SHA-256 for every image."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open

from synthood.common.encoded import EncodedImages, is_encoded, open_encoded
from synthood.common.image_facts import ImageFacts
from synthood.common.lazy import np
from synthood.common.names import Names, joined, take_names
from synthood.common.tensors import Arrays, mapped, read_header, read_tensors, write_tensors
from synthood.errors import SynthoodError

OOD_LABEL = -1
MOST_DECODED = 16 << 30
"""Bytes of pixels that a stage may hold in memory."""


@dataclass
class ImageSet:
    """Images uint8 [N,H,W,3], labels int64 [N] (index into `classes`, or -1: OOD), columns of length N, and remarks.

    `facts` say what the images were before they became pixels of this size, where that is known.
    `names` are those of the files that the images come from, relative to the root of their source; None without files.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: list[str]
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: ImageFacts | None = None
    names: Names | None = None

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def out_of_distribution(cls, images: np.ndarray, facts: ImageFacts | None = None) -> ImageSet:
        return cls(images, np.full(len(images), OOD_LABEL, np.int64), [], facts=facts)

    def check(self, name: object) -> ImageSet:
        """Raises where shapes, types or labels do not fit together."""
        shape, count = self.images.shape, len(self.images)
        if self.images.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape:
            raise SynthoodError(f"{name}: expected uint8 images [N,H,W,3] with N >= 1, got {self.images.dtype} {shape}")
        if self.labels.dtype != np.int64 or self.labels.shape != (count,):
            raise SynthoodError(f"{name}: expected int64 labels [{count}], got {self.labels.dtype} {self.labels.shape}")
        for column, values in self.columns.items():
            if len(values) != count:
                raise SynthoodError(f"{name}: column {column} has {len(values)} rows for {count} images")
        if self.names is not None and len(self.names) != count:
            raise SynthoodError(f"{name}: {len(self.names)} file names for {count} images")
        check_labels(self.labels, self.classes, name)
        return self


def check_labels(labels: np.ndarray, classes: list[str], name: object) -> None:
    """Raises where labels lie outside the classes."""
    if labels.min() < OOD_LABEL or labels.max() >= len(classes):
        raise SynthoodError(
            f"{name}: labels run from {labels.min()} to {labels.max()}, but there are {len(classes)} classes"
        )


def pixel_sha256(images: np.ndarray) -> np.ndarray:
    """SHA-256 of each image's pixels, uint8 [N,32]."""
    digests = b"".join(hashlib.sha256(image.tobytes()).digest() for image in np.ascontiguousarray(images))
    return np.frombuffer(digests, np.uint8).reshape(len(images), 32)


def write_images(path: Path, images: ImageSet) -> None:
    """Writes a checked image set; sample i of part p is `p/i` from here on."""
    images.check(path)
    columns = {"pixel_sha256": pixel_sha256(images.images), **images.columns}
    columns |= images.names.arrays() if images.names is not None else {}
    header = header_of(images.classes, images.notes, images.facts)
    write_tensors(path, {"images": images.images, "labels": images.labels, **columns}, header)


def header_of(classes: list[str], notes: list[str], facts: ImageFacts | None) -> dict[str, Any]:
    """The header of an image set's file; what is empty is left out."""
    return {"classes": classes, **({"notes": notes} if notes else {}), **({"facts": facts.header()} if facts else {})}


@dataclass(frozen=True)
class OpenSet:
    """An `ImageSet` whose images stay on disk until they are asked for."""

    images: np.ndarray | EncodedImages
    labels: np.ndarray
    classes: list[str]
    columns: dict[str, np.ndarray]
    notes: list[str]
    facts: ImageFacts | None
    names: Names | None

    def __len__(self) -> int:
        return len(self.images)


def open_set(path: Path, threads: int = 0) -> OpenSet:
    """An image set of any size, checked: encoded images are decoded one by one, others mapped from the file."""
    images: Any
    if is_encoded(path):
        images, arrays, header = open_encoded(path, threads)
    else:
        arrays, header = read_tensors(path, "labels")
        images, arrays = mapped(path, "images"), arrays | _without(path, "images", "labels")
    classes, notes = (header.get("classes"), header.get("notes", [])) if isinstance(header, dict) else (None, [])
    if not isinstance(classes, list) or not isinstance(notes, list):
        wrong = "it names no classes" if not isinstance(classes, list) else f"its notes are {type(notes).__name__}"
        raise SynthoodError(f"{path}: not an image set ({wrong})")
    labels, names = arrays.pop("labels"), take_names(arrays, len(images), path)
    checked = ImageSet(images, labels, classes, arrays, notes, ImageFacts.read(header), names).check(path)
    return OpenSet(**vars(checked))


def read_images(path: Path) -> ImageSet:
    """An image set in memory; images stored encoded are decoded, where memory holds them."""
    opened = open_set(path)
    if isinstance(opened.images, EncodedImages) and (size := math.prod(opened.images.shape)) > MOST_DECODED:
        raise SynthoodError(
            f"{path}: {len(opened)} images take {size / 2**30:.0f} GiB decoded, more than the {MOST_DECODED >> 30} GiB "
            f"that one stage may; take fewer, or a smaller `size`"
        )
    pixels = opened.images[:] if isinstance(opened.images, EncodedImages) else np.array(opened.images)
    return ImageSet(**{**vars(opened), "images": pixels})


def open_images(path: Path) -> tuple[np.ndarray | EncodedImages, np.ndarray]:
    """Images and labels int64 [N] of a set."""
    opened = open_set(path)
    return opened.images, opened.labels


def stored(path: Path) -> tuple[np.ndarray, Names | None]:
    """Digests uint8 [N,32] of the pixels of an image set and the names of its files, without the images.

    The file must have been verified by who asks.
    """
    arrays = _without(path, "images", "encoded")
    if "pixel_sha256" not in arrays:
        raise SynthoodError(f"{path}: not an image set (it holds no digests); delete it and run again")
    return arrays["pixel_sha256"], take_names(arrays, len(arrays["pixel_sha256"]), path)


def _without(path: Path, *left_out: str) -> Arrays:
    """The other arrays of a verified file."""
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in sorted(set(file.keys()) - set(left_out))}


def read_facts(path: Path) -> ImageFacts | None:
    """The facts of an image set, from its header alone."""
    return ImageFacts.read(read_header(path)[0])


def check_sizes(paths: Sequence[Path]) -> None:
    """Raises, from the headers alone, where two of these image sets have images of different sizes."""
    sides = {path: _side(path) for path in paths}
    for path, side in sides.items():
        if side != (first := sides[paths[0]]):
            raise SynthoodError(
                f"{path}: images of {side[1]}x{side[0]} px, but {paths[0]} has images of {first[1]}x{first[0]} px; "
                f"give both parts the same `size`"
            )


def _side(path: Path) -> tuple[int, int]:
    header, shapes = read_header(path)
    side = header.get("side") or shapes.get("images", ())[1:3]
    if len(side) != 2:
        raise SynthoodError(f"{path}: not an image set (it holds {', '.join(shapes)})")
    return int(side[0]), int(side[1])


def concatenate(sets: list[ImageSet]) -> ImageSet:
    """One set after the other, with the notes of all; all must share their classes."""
    if any(other.classes != sets[0].classes for other in sets):
        raise SynthoodError(f"image sets of different classes cannot be joined: {[s.classes for s in sets]}")
    images, labels = np.concatenate([s.images for s in sets]), np.concatenate([s.labels for s in sets])
    made = ImageSet(images, labels, sets[0].classes, names=joined([(s.names, len(s)) for s in sets]))
    made.notes = list(dict.fromkeys(note for s in sets for note in s.notes))
    made.facts = ImageFacts.joined([s.facts for s in sets])
    return made

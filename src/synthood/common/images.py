"""Image sets: uint8 images with labels, class names and a SHA-256 for every image."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from synthood.common.encoded import EncodedImages, is_encoded, open_encoded
from synthood.common.image_facts import ImageFacts
from synthood.common.names import BYTES, OFFSETS, Names, joined, take_names
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
    def out_of_distribution(cls, images: np.ndarray, facts: ImageFacts | None = None) -> "ImageSet":
        return cls(images, np.full(len(images), OOD_LABEL, np.int64), [], facts=facts)

    def check(self, name: object) -> "ImageSet":
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
    return {
        "classes": classes,
        **({"notes": notes} if notes else {}),
        **({"facts": facts.header()} if facts else {}),
    }


def read_images(path: Path) -> ImageSet:
    """Reads an image set and checks it; images stored encoded are decoded, where memory holds them."""
    arrays, header = _decoded(path) if is_encoded(path) else read_tensors(path)
    classes = header.get("classes") if isinstance(header, dict) else None
    if not {"images", "labels"} <= arrays.keys() or not isinstance(classes, list):
        raise SynthoodError(f"{path}: not an image set (it holds {', '.join(arrays)})")
    images, labels = arrays.pop("images"), arrays.pop("labels")
    notes = header.get("notes", [])
    if not isinstance(notes, list):
        raise SynthoodError(f"{path}: not an image set (its notes are {type(notes).__name__})")
    names = take_names(arrays, len(images), path)
    return ImageSet(images, labels, classes, arrays, notes, ImageFacts.read(header), names).check(path)


def stored(path: Path) -> tuple[np.ndarray, Names | None]:
    """Digests uint8 [N,32] of the pixels of an image set and the names of its files, without the images.

    The file must have been verified by who asks.
    """
    with safe_open(path, framework="numpy") as file:
        keys = {"pixel_sha256", BYTES, OFFSETS} & set(file.keys())
        arrays = {name: file.get_tensor(name) for name in keys}
    if "pixel_sha256" not in arrays:
        raise SynthoodError(f"{path}: not an image set (it holds no digests); delete it and run again")
    return arrays["pixel_sha256"], take_names(arrays, len(arrays["pixel_sha256"]), path)


def open_images(path: Path) -> tuple[np.ndarray | EncodedImages, np.ndarray]:
    """Images and labels int64 [N] of a set; images stored encoded stay so and are decoded slice by slice."""
    if not is_encoded(path):
        whole = read_images(path)
        return whole.images, whole.labels
    images, arrays, header = open_encoded(path)
    check_labels(arrays["labels"], header["classes"], path)
    return images, arrays["labels"]


@dataclass(frozen=True)
class OpenSet:
    """Images that stay on disk until they are asked for, labels int64 [N] and class names."""

    images: np.ndarray | EncodedImages
    labels: np.ndarray
    classes: list[str]

    def __len__(self) -> int:
        return len(self.images)


def open_set(path: Path) -> OpenSet:
    """An image set of any size: encoded images are decoded one by one, others mapped from the file."""
    if is_encoded(path):
        images, arrays, header = open_encoded(path)
        check_labels(arrays["labels"], header["classes"], path)
        return OpenSet(images, arrays["labels"], header["classes"])
    arrays, header = read_tensors(path, "labels")
    classes = header.get("classes") if isinstance(header, dict) else None
    if not isinstance(classes, list):
        raise SynthoodError(f"{path}: not an image set (it names no classes)")
    whole = ImageSet(mapped(path, "images"), arrays["labels"], classes).check(path)
    return OpenSet(whole.images, whole.labels, classes)


def _decoded(path: Path) -> tuple[Arrays, dict[str, Any]]:
    images, arrays, header = open_encoded(path)
    if (size := math.prod(images.shape)) > MOST_DECODED:
        raise SynthoodError(
            f"{path}: {len(images)} images take {size / 2**30:.0f} GiB decoded, more than the {MOST_DECODED >> 30} GiB "
            f"that one stage may; take fewer, or a smaller `size`"
        )
    return {"images": images[:], **arrays}, header


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

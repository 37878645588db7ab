"""The calibration part: validation images, drawn by their pixels, that serve nothing but thresholds."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthood.common.encoded import EncodedImages, write_encoded
from synthood.common.images import ImageSet, header_of, open_set, pixel_sha256, write_images
from synthood.data.overlap_settings import CALIBRATION
from synthood.data.selection import Selection
from synthood.errors import SynthoodError


def taken_for_calibration(digests: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.bool_]:
    """Which of N images [N] become calibration images: `count`, drawn by the seed and the pixels' SHA-256 [N,32].

    Equal images stay together, so a few more may be taken; an image's lot depends on no other image's place.
    Raises SynthoodError where none would be left.
    """
    texts = [row.tobytes() for row in np.ascontiguousarray(digests)]
    lots = {text: hashlib.sha256(b"calibration %d " % seed + text).digest() for text in set(texts)}
    ordered = sorted(texts, key=lambda text: lots[text])
    if not 0 < count < len(texts):
        raise SynthoodError(f"calibration: {count} of {len(texts)} images; take at least one, and leave some")
    last = lots[ordered[count - 1]]
    taken = np.array([lots[text] <= last for text in texts])
    if taken.all():
        raise SynthoodError(f"calibration: all {len(texts)} images would be taken, since they are equal; take fewer")
    return taken


def places_of(part: Selection, digests: NDArray[np.uint8], seed: int) -> NDArray[np.int64]:
    """Places of the validation images, by their pixels' SHA-256 [N,32], that `calibration` or `val` has."""
    if part.calibration is None:
        return np.arange(len(digests))
    taken = taken_for_calibration(digests, round(part.calibration * len(digests)), seed)
    return np.flatnonzero(taken == (part.part == CALIBRATION))


def note_on(part: Selection, kept: int, count: int) -> str:
    """What is reported of the draw."""
    what = "drawn for calibration" if part.part == CALIBRATION else f"the others are the part {CALIBRATION}"
    return f"{kept} of {count} validation images; {what}"


def divided(whole: ImageSet, part: Selection, seed: int) -> ImageSet:
    """The images of one of the two parts, of all validation images in memory."""
    kept = places_of(part, pixel_sha256(whole.images), seed)
    columns = {name: values[kept] for name, values in whole.columns.items()}
    names = whole.names.chosen(kept) if whole.names is not None else None
    notes = [*whole.notes, note_on(part, len(kept), len(whole))]
    return ImageSet(whole.images[kept], whole.labels[kept], whole.classes, columns, notes, whole.facts, names)


def write_divided(source: Path, target: Path, part: Selection, seed: int, threads: int) -> None:
    """The same from a file of all validation images to another, stored as it was."""
    digests = open_set(source).columns["pixel_sha256"]
    kept = places_of(part, digests, seed)
    write_chosen(source, target, kept, [note_on(part, len(kept), len(digests))], threads)


def write_chosen(source: Path, target: Path, kept: NDArray[np.int64], notes: list[str], threads: int) -> None:
    """Writes some images of a set, stored as it was, with further notes."""
    made = open_set(source, threads)
    labels, told = made.labels[kept], [*made.notes, *notes]
    names = made.names.chosen(kept) if made.names is not None else None
    if isinstance(made.images, EncodedImages):
        pixels, header = (made.images[int(i)] for i in kept), header_of(made.classes, told, made.facts)
        write_encoded(target, pixels, threads, lambda: (labels, header), lambda: names)
    else:
        columns = {name: values[kept] for name, values in made.columns.items()}
        write_images(target, ImageSet(made.images[kept], labels, made.classes, columns, told, made.facts, names))

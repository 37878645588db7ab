"""Stage `prepare`: one part of a dataset as an image set."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.encoded import LARGEST_RAW, write_encoded
from synthood.common.images import OOD_LABEL, ImageSet, check_labels, header_of, read_facts, write_images
from synthood.common.settings import Settings
from synthood.data.digits import extra_digits, id_split, shuffled_quadrants
from synthood.data.far import noise, photo_patches, textures
from synthood.data.files.arrays import read_arrays, split_arrays
from synthood.data.files.decode import Reading
from synthood.data.files.image_set import from_files, listed, names_of, no_class_emptied
from synthood.data.files.settings import Arrays, Files, IdArrays
from synthood.data.settings import (
    Computed,
    Digits,
    IdDigits,
    Noise,
    PartSettings,
    PhotoPatches,
    ShuffledQuadrants,
    Textures,
)
from synthood.errors import SynthoodError


def prepare(settings: PartSettings, threads: int = 1) -> ImageSet:
    """The images of one part; OOD test sets carry the label -1."""
    match sized(settings).source:
        case IdDigits() as source:
            return id_split(source)[settings.part]
        case IdArrays() as source:
            return split_arrays(source, settings.part, settings.held_out, settings.held_out_splits)
        case Files() as source:
            which = (settings.held_out, settings.taught, settings.held_out_splits)
            return from_files(source, settings.part, settings.ood, threads, *which)
        case Digits() as source:
            digits = extra_digits(source)
            return ImageSet.out_of_distribution(digits.images, digits.facts) if settings.ood else digits
        case Arrays() as source:
            return read_arrays(Path(source.path), source.size, labelled=False).chosen(slice(None))
        case PhotoPatches() as source:
            return photo_patches(source)
        case Textures() as source:
            return textures(source)
        case Noise() as source:
            return noise(source)
        case ShuffledQuadrants() as source if settings.validation is not None:
            validation = PartSettings(part="val", source=settings.validation)
            return shuffled_quadrants(source, prepare(validation, threads))
        case source:
            raise SynthoodError(f"part {settings.part}: no adapter makes images from {source}")


def sized(settings: PartSettings) -> PartSettings:
    """A computed set with the size of the ID images, where only their files say it."""
    source = settings.source
    if not isinstance(source, Computed) or source.size is not None or settings.validation is None:
        return settings
    height, width = shape_of(settings.validation)
    if height != width:
        raise SynthoodError(
            f"part {settings.part}: {source.kind} are square, but the ID images have {width}x{height} px; set `size` "
            f"of the ID images"
        )
    return settings.model_copy(update={"source": source.model_copy(update={"size": height})})


def shape_of(source: Settings) -> tuple[int, int]:
    """Height and width of a source's ID images, by the first of its validation images."""
    if isinstance(source, Files):
        first: np.ndarray = next(iter(Reading(listed(source, "val")[0], source)))
        return first.shape[0], first.shape[1]
    made = prepare(PartSettings.model_validate({"part": "val", "source": source})).images
    return made.shape[1], made.shape[2]


def checked_side(settings: PartSettings, height: int, width: int) -> None:
    """Raises where the images are not as large as the ID images, as far as the configuration says their size."""
    if settings.side is not None and (height, width) != (settings.side, settings.side):
        raise SynthoodError(
            f"part {settings.part}: images of {width}x{height} px next to ID images of {settings.side} px, so a "
            f"detector needs nothing but the size; set `size: {settings.side}`"
        )


Said = tuple[np.ndarray, list[str], list[str]]
"""Labels int64 [N], class names and notes of a part."""


def write(path: Path, settings: PartSettings, threads: int) -> Said:
    """Writes one part: its pixels, or encoded where images are large; those of files are then never all in memory."""
    source = settings.source
    if isinstance(source, Files) and source.size is not None and source.size > LARGEST_RAW:
        return write_large(path, source, settings, threads)
    made = prepare(settings, threads).check(path)
    checked_side(settings, *made.images.shape[1:3])
    if max(made.images.shape[1:3]) <= LARGEST_RAW:
        write_images(path, made)
    else:
        rest = made.labels, header_of(made.classes, made.notes, made.facts)
        write_encoded(path, made.images, threads, lambda: rest)
    return made.labels, made.classes, made.notes


def write_large(path: Path, source: Files, settings: PartSettings, threads: int) -> Said:
    """Writes the images of files encoded as they are read."""
    which = settings.held_out, settings.taught, settings.held_out_splits
    listing, notes = listed(source, settings.part, *which)
    reading = Reading(listing, source, threads)
    classes = [] if settings.ood else listing.classes

    def rest() -> tuple[np.ndarray, dict[str, Any]]:
        if not settings.ood or settings.held_out:
            no_class_emptied(listing, reading)
        labels = np.full(len(reading.kept), OOD_LABEL, np.int64) if settings.ood else reading.labels
        check_labels(labels, classes, path)
        return labels, header_of(classes, notes + reading.notes, reading.facts)

    write_encoded(path, reading, threads, rest, lambda: names_of(reading, source))
    return rest()[0], classes, notes + reading.notes


def imbalance(labels: np.ndarray, classes: list[str]) -> str:
    """The smallest and the largest class, where they differ."""
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    if not counts.size or counts.min() == counts.max():
        return ""
    low, high = int(counts.argmin()), int(counts.argmax())
    return f"; {counts[low]} of {classes[low]} to {counts[high]} of {classes[high]}"


@stage.Stage
def main(
    job: stage.Job,
    settings: PartSettings,
    threads: int,
    output: Output,
    raw: Annotated[str, "state of the raw files when the job was planned, to be recorded"] = "",
) -> None:
    job.facts["raw"] = raw
    with job.writing(output) as path:
        labels, classes, notes = write(path, settings, threads)
    print(f"{output}: {len(labels)} images of {len(classes)} classes{imbalance(labels, classes)}")
    for note in notes:
        print(f"note: {note}")
    print(f"before preparation: {read_facts(output)}")


if __name__ == "__main__":
    main()

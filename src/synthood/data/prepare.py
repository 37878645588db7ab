"""Stage `prepare`: one part of a dataset as an image set."""

from pathlib import Path
from typing import Annotated

import numpy as np

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.encoded import LARGEST_RAW, write_encoded
from synthood.common.images import ImageSet, header_of, read_facts, write_images
from synthood.common.settings import Settings
from synthood.data.digits import extra_digits, id_split, shuffled_quadrants
from synthood.data.far import noise, photo_patches, textures
from synthood.data.files.arrays import read_arrays, split_arrays
from synthood.data.files.decode import Reading
from synthood.data.files.image_set import from_files, is_large, listed, write_large
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


def write(path: Path, images: ImageSet, threads: int) -> None:
    """Writes images as they are, or encoded where they are large."""
    if max(images.images.shape[1:3]) <= LARGEST_RAW:
        return write_images(path, images)
    header = header_of(images.classes, images.notes, images.facts)
    return write_encoded(path, images.check(path).images, threads, lambda: (images.labels, header))


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
    if isinstance(source := settings.source, Files) and is_large(source):
        with job.writing(output) as path:
            labels, classes, notes = write_large(
                path,
                source,
                settings.part,
                settings.ood,
                threads,
                settings.held_out,
                settings.taught,
                settings.held_out_splits,
            )
    else:
        images = prepare(settings, threads)
        labels, classes, notes = images.labels, images.classes, images.notes
        checked_side(settings, *images.images.shape[1:3])
        with job.writing(output) as path:
            write(path, images, threads)
    print(f"{output}: {len(labels)} images of {len(classes)} classes{imbalance(labels, classes)}")
    for note in notes:
        print(f"note: {note}")
    print(f"before preparation: {read_facts(output)}")


if __name__ == "__main__":
    main()

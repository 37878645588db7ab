"""Stage `prepare`: one part of a dataset as an image set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthood.common import stage
from synthood.common.images import ImageSet, write_images
from synthood.data.digits import extra_digits, id_split, shuffled_quadrants
from synthood.data.far import noise, photo_patches, textures
from synthood.data.files.arrays import read_npz, split_arrays
from synthood.data.files.image_set import from_files, is_large, write_large
from synthood.data.files.settings import Arrays, Files, IdArrays
from synthood.data.settings import (
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
    match settings.source:
        case IdDigits() as source:
            return id_split(source)[settings.part]
        case IdArrays() as source:
            return split_arrays(source, settings.part, settings.held_out, settings.held_out_splits)
        case Files() as source:
            which = (settings.held_out, settings.taught, settings.held_out_splits)
            return from_files(source, settings.part, settings.ood, threads, *which)
        case Digits() as source:
            digits = extra_digits(source)
            return ImageSet.out_of_distribution(digits.images) if settings.ood else digits
        case Arrays() as source:
            return ImageSet.out_of_distribution(read_npz(Path(source.path), source.size)[0])
        case PhotoPatches() as source:
            return photo_patches(source)
        case Textures() as source:
            return textures(source)
        case Noise() as source:
            return noise(source)
        case ShuffledQuadrants() as source if settings.validation is not None:
            validation = settings.model_copy(update={"part": "val", "ood": False, "source": settings.validation})
            return shuffled_quadrants(source, prepare(validation, threads))
        case source:
            raise SynthoodError(f"part {settings.part}: no adapter makes images from {source}")


def imbalance(labels: np.ndarray, classes: list[str]) -> str:
    """The smallest and the largest class, where they differ."""
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    if not counts.size or counts.min() == counts.max():
        return ""
    low, high = int(counts.argmin()), int(counts.argmax())
    return f"; {counts[low]} of {classes[low]} to {counts[high]} of {classes[high]}"


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        settings, threads = PartSettings.parse(job.arguments.settings), job.arguments.threads
        output = job.arguments.output[0]
        job.facts["raw"] = job.arguments.raw
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
            with job.writing(output) as path:
                write_images(path, images)
        print(f"{output}: {len(labels)} images of {len(classes)} classes{imbalance(labels, classes)}")
        for note in notes:
            print(f"note: {note}")

    parser = stage.parser(__doc__)
    parser.add_argument(
        "--raw", nargs="?", const="", default="", help="state of the raw files when the job was planned, to be recorded"
    )
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()

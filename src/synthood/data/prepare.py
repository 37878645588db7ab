"""Stage `prepare`: one part of a dataset as an image set."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.images import ImageSet, open_set, read_facts
from synthood.data.calibration_part import divided, write_divided
from synthood.data.part_settings import PartSettings
from synthood.data.sources.base import Summary


def prepare(settings: PartSettings, threads: int = 1) -> ImageSet:
    """The images of one part; OOD test sets carry the label -1."""
    found = settings.source.read(settings.asked, threads)
    return divided(found, settings, settings.draw) if settings.of_validation else found


def write(path: Path, settings: PartSettings, threads: int) -> Summary:
    """Writes them, encoded where they are large; gives labels, classes and notes."""
    if not settings.of_validation:
        return settings.source.write(path, settings, threads)
    with TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        whole = Path(folder) / "val.safetensors"
        settings.source.write(whole, settings.asked, threads)
        write_divided(whole, path, settings, settings.draw, threads)
    made = open_set(path)
    return made.labels, made.classes, made.notes


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

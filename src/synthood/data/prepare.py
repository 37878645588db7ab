"""Stage `prepare`: one part of a dataset as an image set."""

from typing import Annotated

import numpy as np

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.images import ImageSet, read_facts
from synthood.data.part_settings import PartSettings


def prepare(settings: PartSettings, threads: int = 1) -> ImageSet:
    """The images of one part; OOD test sets carry the label -1."""
    return settings.source.read(settings, threads)


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
        labels, classes, notes = settings.source.write(path, settings, threads)
    print(f"{output}: {len(labels)} images of {len(classes)} classes{imbalance(labels, classes)}")
    for note in notes:
        print(f"note: {note}")
    print(f"before preparation: {read_facts(output)}")


if __name__ == "__main__":
    main()

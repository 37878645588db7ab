"""Stage `drop_leaks`: an evaluated part without the images that stand in ID parts."""

from pathlib import Path
from typing import Annotated

import numpy as np

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.images import open_set
from synthood.data.calibration_part import write_chosen
from synthood.data.leaks.find_leaks import Part, leaks
from synthood.data.leaks.settings import LeakSettings
from synthood.errors import SynthoodError


def leaking(part: Part, against: list[Part], settings: LeakSettings) -> dict[str, np.ndarray]:
    """By name of each other part the places int64 of the images of `part` that stand in it, exactly or nearly."""
    found = {}
    for other in against:
        _, pairs = leaks([part, other], settings)
        named = [place.rpartition("/") for place in pairs["image"]]
        found[other.name] = np.array(sorted({int(index) for name, _, index in named if name == part.name}), np.int64)
    return found


def write_without(source: Path, target: Path, out: np.ndarray, told: list[str], threads: int) -> None:
    """Writes an image set without the images at these places, stored as it was; raises where none would be left."""
    kept = np.setdiff1d(np.arange(len(open_set(source))), out)
    if not len(kept):
        raise SynthoodError(f"{source}: every image stands in ID parts as well; take another set")
    write_chosen(source, target, kept, told, threads)


@stage.Stage
def main(
    job: stage.Job,
    settings: LeakSettings,
    threads: int,
    images: Annotated[Path, "the part that loses images"],
    against: Annotated[list[Path], "ID parts that keep theirs"],
    output: Output,
) -> None:
    part = Part.read(images.stem, [images], threads)
    others = [Part.read(path.stem, [path], threads) for path in against]
    found = leaking(part, others, settings)
    told = [f"{len(places)} images left out that stand in {name}" for name, places in found.items() if len(places)]
    out = np.unique(np.concatenate([np.zeros(0, np.int64), *found.values()]))
    with job.writing(output) as path:
        write_without(images, path, out, told, threads)
    print(f"{output}: {len(part) - len(out)} of {len(part)} images", *told, sep="\n")


if __name__ == "__main__":
    main()

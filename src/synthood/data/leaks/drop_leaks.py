"""Stage `drop_leaks`: an evaluated part without the images that stand in ID parts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthood.common import stage
from synthood.common.encoded import EncodedImages, write_encoded
from synthood.common.images import ImageSet, header_of, open_set, write_images
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
    made = open_set(source, threads)
    kept = np.setdiff1d(np.arange(len(made)), out)
    if not len(kept):
        raise SynthoodError(f"{source}: every image stands in ID parts as well; take another set")
    labels, notes = made.labels[kept], [*made.notes, *told]
    names = made.names.chosen(kept) if made.names is not None else None
    if isinstance(made.images, EncodedImages):
        pixels, header = (made.images[int(i)] for i in kept), header_of(made.classes, notes, made.facts)
        write_encoded(target, pixels, threads, lambda: (labels, header), lambda: names)
    else:
        columns = {name: values[kept] for name, values in made.columns.items()}
        write_images(target, ImageSet(made.images[kept], labels, made.classes, columns, notes, made.facts, names))


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        settings, threads = LeakSettings.parse(job.arguments.settings), job.arguments.threads
        source: Path = job.arguments.images
        part = Part.read(source.stem, [source], threads)
        against = [Part.read(path.stem, [path], threads) for path in job.arguments.against]
        found = leaking(part, against, settings)
        told = [f"{len(places)} images left out that stand in {name}" for name, places in found.items() if len(places)]
        out = np.unique(np.concatenate([np.zeros(0, np.int64), *found.values()]))
        with job.writing(job.arguments.output[0]) as path:
            write_without(source, path, out, told, threads)
        print(f"{job.arguments.output[0]}: {len(part) - len(out)} of {len(part)} images", *told, sep="\n")

    parser = stage.parser(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="the part that loses images")
    parser.add_argument("--against", type=Path, nargs="+", required=True, help="ID parts that keep theirs")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()

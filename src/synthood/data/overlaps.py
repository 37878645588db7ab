"""Stage `overlaps`: which images two parts of a dataset share, by their pixels, and a sentence where they may not.

The job itself does not fail: what it wrote before would then be gone, and all that waits for it would be made again.
Rules that learn or evaluate read the sentence and fail with it.
"""

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthood.common import stage
from synthood.common.images import stored
from synthood.common.names import Names
from synthood.data.overlap_settings import OverlapSettings

COLUMNS = ("part", "other", "shared", "allowed")
SHOWN = 2
"""Examples of two parts, and pairs of parts, that an error names."""


@dataclass(frozen=True)
class Part:
    """The different images of one part: digests in ascending order and the place where each comes first."""

    name: str
    count: int
    digests: np.ndarray
    places: np.ndarray
    names: Names | None

    @classmethod
    def read(cls, path: Path) -> "Part":
        """Reads digests and names alone."""
        digests, names = stored(path)
        distinct, places = np.unique(np.ascontiguousarray(digests).view("V32").ravel(), return_index=True)
        return cls(path.stem, len(digests), distinct, places, names)

    def image(self, place: int) -> str:
        """An image as messages name it: part and place, and its file."""
        file = f" ({self.names[place]!r})" if self.names is not None and self.names[place] else ""
        return f"{self.name}/{place}{file}"


@dataclass(frozen=True)
class Overlap:
    """Places int64 [K] in two parts of the K different images that both have, in the order of the first."""

    one: Part
    other: Part
    places: np.ndarray
    other_places: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    @property
    def names(self) -> tuple[str, str]:
        """Of the two parts."""
        return self.one.name, self.other.name

    def examples(self) -> str:
        """Some of the images."""
        pairs = zip(self.places[:SHOWN].tolist(), self.other_places[:SHOWN].tolist(), strict=True)
        return ", ".join(f"{self.one.image(i)} = {self.other.image(j)}" for i, j in pairs)


def overlap(one: Part, other: Part) -> Overlap:
    """What two parts share."""
    at = np.minimum(np.searchsorted(other.digests, one.digests), len(other.digests) - 1)
    both = other.digests[at] == one.digests
    places, other_places = one.places[both], other.places[at[both]]
    order = np.argsort(places)
    return Overlap(one, other, places[order], other_places[order])


def compared(parts: Sequence[Part], extra: Sequence[str]) -> list[Overlap]:
    """Every two parts; not two extra sets, on neither of which anything is tested."""
    pairs = itertools.combinations(parts, 2)
    return [overlap(one, other) for one, other in pairs if not {one.name, other.name} <= set(extra)]


def refusal(found: Sequence[Overlap], settings: OverlapSettings) -> str:
    """A sentence with counts, examples and the remedies where parts share more than they may; else empty."""
    refused = [
        each
        for each in found
        if len(each) > settings.most(*each.names) and not (len(each) and settings.dropped(*each.names))
    ]
    if not refused:
        return ""
    first, *others = refused
    more = [f"{' and '.join(each.names)} share {len(each)}" for each in others[:SHOWN]]
    more += [f"{len(others) - SHOWN} more pairs are in the log"] if len(others) > SHOWN else []
    droppable = settings.model_copy(update={"drop": True})
    drop = "drop them by `leaks: {drop: true}`, " if any(droppable.dropped(*each.names) for each in refused) else ""
    entries = ", ".join(f"{{parts: [{', '.join(each.names)}], images: {len(each)}}}" for each in refused)
    return (
        f"datasets.{settings.dataset}: {first.names[0]} and {first.names[1]} share {len(first)} images with identical "
        f"pixels ({first.examples()}){''.join(f'; {text}' for text in more)}; take them out of one of the parts, "
        f"{drop}or allow them by `allow_overlap: [{entries}]`"
    )


def allowed(each: Overlap, settings: OverlapSettings) -> str:
    """How many images two parts may share, as the table has it."""
    if settings.dropped(*each.names):
        return "dropped"
    most = settings.most(*each.names)
    return "any" if most == float("inf") else f"{most:.0f}"


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        settings = OverlapSettings.parse(job.arguments.settings)
        parts = [Part.read(path) for path in job.arguments.images]
        for part in parts:
            if twice := part.count - len(part.digests):
                print(f"note: {twice} of the {part.count} images of {part.name} repeat another one of it")
        found = compared(parts, settings.extra)
        for each in found:
            if len(each):
                limit = allowed(each, settings)
                print(f"{' and '.join(each.names)} share {len(each)} images (allowed: {limit}): {each.examples()}")
        refused = refusal(found, settings)
        counts, sentence = job.arguments.output
        with job.writing(sentence) as path:
            path.write_text(f"error: {refused}\n" if refused else "")
        with job.writing(counts) as path, path.open("w", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows([*each.names, len(each), allowed(each, settings)] for each in found)
        print(f"{counts}: {len(found)} pairs of parts compared", *([f"error: {refused}"] if refused else []), sep="\n")

    parser = stage.parser(__doc__)
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="image sets, named by their files")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()

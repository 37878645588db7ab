"""Stage `overlaps`: which images two parts of a dataset share, by their pixels; refuses what is not allowed."""

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.images import check_sizes, stored
from synthood.common.names import Names
from synthood.data.overlap_settings import OverlapSettings, Shared, refusal
from synthood.errors import SynthoodError

COLUMNS = ("part", "other", "shared", "examples")
SHOWN = 2
"""Examples of two parts."""


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
        return cls.of(path.stem, digests, names)

    @classmethod
    def of(cls, name: str, digests: np.ndarray, names: Names | None = None) -> "Part":
        """From the digests uint8 [N,32] of all images."""
        distinct, places = np.unique(np.ascontiguousarray(digests).view("V32").ravel(), return_index=True)
        return cls(name, len(digests), distinct, places, names)

    def image(self, place: int) -> str:
        """An image as messages name it: part and place, and its file."""
        file = f" ({self.names[place]!r})" if self.names is not None and self.names[place] else ""
        return f"{self.name}/{place}{file}"


def overlap(one: Part, other: Part) -> Shared:
    """What two parts share; examples in the order of the first."""
    at = np.minimum(np.searchsorted(other.digests, one.digests), len(other.digests) - 1)
    both = np.flatnonzero(other.digests[at] == one.digests)
    first = both[np.argsort(one.places[both])][:SHOWN].tolist()
    examples = [f"{one.image(one.places[i])} = {other.image(other.places[at[i]])}" for i in first]
    return Shared(one.name, other.name, len(both), ", ".join(examples))


def compared(parts: Sequence[Part], extra: Sequence[str]) -> list[Shared]:
    """Every two parts; not two extra sets, on neither of which anything is tested."""
    pairs = itertools.combinations(parts, 2)
    return [overlap(one, other) for one, other in pairs if not {one.name, other.name} <= set(extra)]


@stage.Stage
def main(
    job: stage.Job,
    settings: OverlapSettings,
    images: Annotated[list[Path], "image sets, named by their files"],
    output: Output,
    count_only: Annotated[bool, "refuse nothing; `overlap_guard` does"] = False,
) -> None:
    check_sizes(images)
    parts = [Part.read(path) for path in images]
    for part in parts:
        if twice := part.count - len(part.digests):
            print(f"note: {twice} of the {part.count} images of {part.name} repeat another one of it")
    found = compared(parts, settings.extra)
    for each in found:
        if each.count:
            limit = allowed(each, settings)
            print(f"{each.one} and {each.other} share {each.count} images (allowed: {limit}): {each.examples}")
    if not count_only and (refused := refusal(found, settings)):
        raise SynthoodError(refused)
    with job.writing(output) as path, path.open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([each.one, each.other, each.count, each.examples] for each in found)
    print(f"{output}: {len(found)} pairs of parts compared")


def allowed(each: Shared, settings: OverlapSettings) -> str:
    """How many images two parts may share, as the log has it."""
    if settings.dropped(each.one, each.other):
        return "dropped"
    most = settings.most(each.one, each.other)
    return "any" if most == float("inf") else f"{most:.0f}"


if __name__ == "__main__":
    main()

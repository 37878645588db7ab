"""What a part reads, as far as paths and settings tell."""

import os
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Choice:
    """The labels or classes that are taken of a source: these, or all `but` these."""

    names: frozenset[object] = frozenset()
    but: bool = True

    def meets(self, other: "Choice") -> bool:
        """Whether both may take the same image."""
        one, two = (other, self) if self.but else (self, other)
        return one.but or bool(one.names - two.names if two.but else one.names & two.names)


@dataclass(frozen=True)
class Claim:
    """What one part reads: a file or what lies below a folder (`tree`), of it a split and a choice; None is any."""

    kind: str
    places: tuple[str, ...] = ()
    split: str | None = None
    choice: Choice = Choice()
    tree: bool = False

    def meets(self, other: "Claim") -> bool:
        """Whether both read the same images."""
        if self.tree and other.tree:
            return _within(self, other) or _within(other, self)
        return (
            self.kind == other.kind
            and self.identities == other.identities
            and (self.split is None or other.split is None or self.split == other.split)
            and self.choice.meets(other.choice)
        )

    @cached_property
    def identities(self) -> list[Hashable]:
        """Of the places; of a folder and all above it."""
        if not self.tree:
            return [identity(place) for place in self.places]
        real = Path(os.path.realpath(self.places[0]))
        return [identity(str(place)) for place in (real, *real.parents)]

    @property
    def told(self) -> str:
        """What is read, as messages name it."""
        return repr(self.places[0]) if self.places else self.kind


def identity(place: str) -> Hashable:
    """What is the same for every spelling of a path, through links too, and in any case where the disk ignores it."""
    real = os.path.realpath(place)
    try:
        facts = os.stat(real)  # noqa: PTH116 so does raw.py, many times
    except (OSError, ValueError):
        return real
    return facts.st_dev, facts.st_ino


def _within(inner: Claim, outer: Claim) -> bool:
    """Whether a folder is another one or lies in it, but not in a class that is left out there."""
    top, above = outer.identities[0], inner.identities
    if top not in above:
        return False
    below = above.index(top)
    folder = Path(os.path.realpath(inner.places[0])).parts[-below] if below else None
    return folder is None or outer.choice.meets(Choice(frozenset([folder]), but=False))

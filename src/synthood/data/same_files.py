"""Which parts of a dataset are read from the same files, as far as paths and settings tell; no file is opened.

What paths do not tell, such as two lists that name one image, the stage `overlaps` finds by the pixels.
"""

import itertools
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synthood.common.settings import Settings
from synthood.data.files.layouts import root_of
from synthood.data.files.names import split_of
from synthood.data.files.settings import (
    Arrays,
    Folders,
    IdArrays,
    IdFolders,
    IdImglist,
    IdManifest,
    IdTorchvision,
    Imglist,
    Manifest,
    Torchvision,
)
from synthood.data.overlap_settings import ID_PARTS


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


def claims(source: Settings, part: str) -> list[Claim]:
    """What a part reads; empty where paths do not tell, as for classes that are held out of ID images."""
    match source:
        case IdFolders():
            taken = Choice(frozenset(source.except_classes))
            places = _split_folders(source).get(part, [Path(source.path)])
            return [Claim("folder", (str(place),), choice=taken, tree=True) for place in places]
        case Folders():
            return [Claim("folder", (source.path,), tree=True)]
        case IdArrays():
            return [Claim("arrays", (source.train if part == "train" else source.test,))]
        case Arrays():
            return [Claim("arrays", (source.path,))]
        case IdManifest() | Manifest():
            return [Claim("manifest", (source.path,), getattr(source, "split", part))]
        case IdImglist():
            return [_of_list(source, getattr(source, part), source.labels, None)]
        case Imglist():
            return [_of_list(source, source.list, source.labels, source.except_labels)]
        case IdTorchvision() | Torchvision():
            split = getattr(source, "split", "train" if part == "train" else "test")
            return [Claim(source.kind, (str(root_of(source.kind, Path(source.path))),), split)]
    kind = getattr(source, "kind", "")
    if kind == "digits":  # ID digits are split by number, and no set may hold their classes
        return [Claim(kind, choice=Choice(frozenset(getattr(source, "classes", [])), but=False))]
    drawn = kind in ("noise", "textures", "photo-patches", "shuffled-quadrants")
    return [Claim(f"{kind} of seed {getattr(source, 'seed', None)}")] if drawn else []


def _of_list(source: Imglist | IdImglist, name: str, labels: list[int] | None, but: list[int] | None) -> Claim:
    taken = Choice(frozenset(but or [])) if labels is None else Choice(frozenset(labels) - frozenset(but or []), False)
    return Claim("imglist", (name, source.path), choice=taken)


def _split_folders(source: IdFolders) -> dict[str, list[Path]]:
    """The folders of each part of ID images; empty where class folders alone are there, or nothing yet."""
    path = Path(source.path)
    if source.splits:
        found = {role: [path / name for name in names] for role, names in source.splits.of_roles().items()}
    else:
        try:
            found = {split: [Path(e)] for e in os.scandir(path) if e.is_dir() and (split := split_of(e.name))}
        except OSError:
            return {}
    if "train" not in found or len(found) == 1:
        return {}
    held_out = found.get("test", found.get("val", [path]))
    return {"train": found["train"], "val": found.get("val", held_out), "test": held_out}


def same_files(
    id_source: Settings, sets: Mapping[str, Settings], extra: Mapping[str, Settings]
) -> list[tuple[str, str, str]]:
    """Two parts and what both read, of all pairs that read the same images; not of two extra sets."""
    own = {part: claims(id_source, part) for part in ID_PARTS}
    every = {**own, **{name: claims(source, name) for name, source in {**sets, **extra}.items()}}
    found = []
    for one, other in itertools.combinations(every, 2):
        if {one, other} <= set(extra) or ({one, other} <= set(own) and _shared_out(id_source, one, other)):
            continue
        what = next((a.told for a in every[one] for b in every[other] if a.meets(b)), None)
        found += [(one, other, what)] if what is not None else []
    return found


def _shared_out(source: Settings, one: str, other: str) -> bool:
    """Whether two ID parts are apart, although they are read from the same files."""
    if isinstance(source, IdArrays):
        return "train" not in (one, other)
    if isinstance(source, IdFolders):
        return claims(source, one) == claims(source, other)
    return not isinstance(source, IdImglist)

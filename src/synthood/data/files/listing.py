"""Labelled images before they are decoded, and how they are shared out to train, val and test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from synthood.common.lazy import np
from synthood.common.seeds import derived_seed
from synthood.data.files.names import some, split_of
from synthood.data.selection import Selection
from synthood.errors import SynthoodError, nearest, printable


@dataclass
class Listing:
    """Files, or pixels uint8 [N,H,W,3], with labels int64 [N] (index into `classes`; -1: none), from `origin`."""

    images: list[Path] | np.ndarray
    labels: np.ndarray
    classes: list[str]
    origin: str
    notes: list[str] = field(default_factory=list)
    """What was not read, or read otherwise than its name says."""

    def __len__(self) -> int:
        return len(self.images)

    def chosen(self, indices: np.ndarray) -> Listing:
        """Those images alone."""
        images = [self.images[i] for i in indices] if isinstance(self.images, list) else self.images[indices]
        return replace(self, images=images, labels=self.labels[indices])

    def labelled_as(self, classes: list[str]) -> Listing:
        """The same images with labels over other classes, found by name; raises where one is not among them."""
        strange = [self.classes[label] for label in np.unique(self.labels) if self.classes[label] not in classes]
        if strange or (len(self) and self.labels.min() < 0):
            name = printable(strange[0]) if strange else "no class"
            raise SynthoodError(
                f"{printable(self.origin)}: images of {name}, which is none of the classes that "
                f"are taught ({some(classes, 12)}); take them out, or name the set under near or far"
            )
        numbers = np.array([classes.index(name) if name in classes else 0 for name in self.classes], np.int64)
        return replace(self, labels=numbers[self.labels], classes=classes)


class Shares(Protocol):
    """The knobs of sharing out."""

    @property
    def train_per_class(self) -> int | None: ...

    @property
    def val_per_class(self) -> int | None: ...

    @property
    def seed(self) -> int: ...

    @property
    def except_classes(self) -> list[str]: ...


T = TypeVar("T")
Splits = Mapping[str, Callable[[], Listing]]
"""What a source holds: `train`, `val` and `test`; `train` and `test`; or `all`."""


def by_role(names: Iterable[str], where: str) -> dict[str, list[str]]:
    """What is called train, val and test under any of their names; val serves as a missing test.

    Raises at two names of one split, and where training or both other images are missing.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        if (split := split_of(name)) is not None:
            found.setdefault(split, []).append(name)
    twice = next((same for same in found.values() if len(same) > 1), None)
    if twice:
        raise SynthoodError(f"{printable(where)}: {some(twice)} are names of one split; choose by `splits`")
    there = some([name for same in found.values() for name in same])
    if "train" not in found or len(found) == 1:
        missing = "test" if "train" in found else "train"
        raise SynthoodError(
            f"{printable(where)}: {there} without {missing}; give both, or none of them, or name them by `splits`"
        )
    return found if "test" in found else {"train": found["train"], "test": found["val"]}


def share_out(labels: np.ndarray, takes: Callable[[int, int], list[int]], seed: int) -> list[np.ndarray]:
    """Indices of every share, ascending: of each class, drawn with the seed, as many as `takes(label, members)` says.

    What is left makes one more share; a class's draw depends on the seed, its label and its number of members alone.
    """
    shares: list[list[np.ndarray]] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng(derived_seed(seed, "split", int(label))).permutation(members)
        cut = np.split(order, np.cumsum(takes(int(label), len(members))))
        shares = shares or [[] for _ in cut]
        for share, indices in zip(shares, cut, strict=True):
            share.append(indices)
    return [np.sort(np.concatenate(share)) for share in shares]


def id_listing(splits: Splits, part: Selection, shares: Shares) -> Listing:
    """The part train, val or test of an ID source, its labels over the classes that are taught.

    With `part.held_out` all images of these classes, or those of some splits. A class that is left out leaves the
    shares of the others as they were.
    """
    if part.held_out:
        everything = joined([made() for made in of_splits(splits, part.held_out_splits).values()])
        positions = _positions(everything, part.held_out)
        chosen = np.flatnonzero(np.isin(everything.labels, positions))
        empty = [everything.classes[label] for label in np.setdiff1d(positions, everything.labels[chosen])]
        if empty:
            raise SynthoodError(f"{printable(everything.origin)}: no image of the held-out classes {some(empty)}")
        return everything.chosen(chosen)
    without = {name: partial(_without, made, shares.except_classes) for name, made in splits.items()}
    listing = _renumbered(_shared(without, part.part, shares), shares.except_classes)
    if len(listing.classes) < 2:
        raise SynthoodError(
            f"{printable(listing.origin)}: one class alone, {some(listing.classes)}; a classifier needs two classes"
        )
    return _present(listing, part.part)


def of_splits(splits: Mapping[str, T], names: Sequence[str]) -> dict[str, T]:
    """The splits that held-out classes are taken from, by default all; raises where one is not there."""
    missing = next((name for name in names if name not in splits), None)
    if missing is not None:
        known = "no splits" if "all" in splits else some(list(splits))
        raise SynthoodError(
            f"held-out-classes: no split {missing} there ({known}); take `splits` away to use all images"
        )
    return {name: splits[name] for name in names or splits}


def _present(listing: Listing, part: str) -> Listing:
    """The listing, with a note of classes without images; raises where training images lack one."""
    empty = [listing.classes[label] for label in np.setdiff1d(np.arange(len(listing.classes)), listing.labels)]
    if not empty:
        return listing
    if part == "train":
        raise SynthoodError(
            f"{printable(listing.origin)}: no training image of class {some(empty)}; add images, or leave the class "
            f"out by `except_classes`"
        )
    return replace(listing, notes=[*listing.notes, f"{printable(listing.origin)}: no image of class {some(empty)}"])


def joined(listings: Sequence[Listing]) -> Listing:
    """One listing after the other; all share their classes."""
    first = listings[0]
    images: list[Path] | np.ndarray
    if isinstance(first.images, np.ndarray):
        images = np.concatenate([one.images for one in listings if isinstance(one.images, np.ndarray)])
    else:
        images = [image for one in listings for image in one.images]
    return Listing(
        images,
        np.concatenate([one.labels for one in listings]),
        first.classes,
        " and ".join(dict.fromkeys(one.origin for one in listings)),
        [note for one in listings for note in one.notes],
    )


def _positions(listing: Listing, names: Sequence[str]) -> list[int]:
    unknown = [name for name in names if name not in listing.classes]
    if unknown:
        raise SynthoodError(
            f"{printable(listing.origin)}: no class {unknown[0]!r} to be left out{nearest(unknown[0], listing.classes)}"
        )
    return [listing.classes.index(name) for name in names]


def _without(made: Callable[[], Listing], names: Sequence[str]) -> Listing:
    listing = made()
    if not names:
        return listing
    left = np.flatnonzero(~np.isin(listing.labels, _positions(listing, names)))
    if not len(left):
        raise SynthoodError(
            f"{printable(listing.origin)}: no image is left but of {some(names)}; hold out fewer classes"
        )
    return listing.chosen(left)


def _renumbered(listing: Listing, names: Sequence[str]) -> Listing:
    if not names:
        return listing
    left = [name for name in listing.classes if name not in names]
    if len(left) < 2:
        raise SynthoodError(f"{printable(listing.origin)}: two classes must remain, {some(left) or 'none'} is left")
    place = {listing.classes.index(name): label for label, name in enumerate(left)}
    return replace(listing, labels=np.array([place[y] for y in listing.labels.tolist()], np.int64), classes=left)


def _shared(splits: Splits, part: str, shares: Shares) -> Listing:
    if "all" in splits:
        everything = splits["all"]()
        return everything.chosen(_undivided(everything, shares)[part])
    listing = splits[part]() if part in splits else splits["test"]()
    if part == "train":
        return limited(listing, shares.train_per_class, shares.seed)
    if "val" not in splits:
        return listing.chosen(_held_out(listing, shares)[part])
    return listing if part == "test" else limited(listing, shares.val_per_class, shares.seed)


def _undivided(listing: Listing, shares: Shares) -> dict[str, np.ndarray]:
    def takes(label: int, members: int) -> list[int]:
        val = shares.val_per_class or max(1, round(members / 10))
        test = max(1, round(members / 10))
        train = shares.train_per_class or members - val - test
        _enough(listing, label, members, max(train, 1) + val + 1)
        return [train, val]

    return dict(zip(("train", "val", "test"), share_out(listing.labels, takes, shares.seed), strict=True))


def _held_out(listing: Listing, shares: Shares) -> dict[str, np.ndarray]:
    def takes(label: int, members: int) -> list[int]:
        val = shares.val_per_class or max(1, round(members / 10))
        _enough(listing, label, members, val + 1)
        return [val]

    return dict(zip(("val", "test"), share_out(listing.labels, takes, shares.seed), strict=True))


def limited(listing: Listing, wanted: int | None, seed: int) -> Listing:
    """So many images of each class, drawn with the seed; all of them where `wanted` is None."""
    if wanted is None:
        return listing

    def takes(label: int, members: int) -> list[int]:
        _enough(listing, label, members, wanted)
        return [wanted]

    return listing.chosen(share_out(listing.labels, takes, seed)[0])


def _enough(listing: Listing, label: int, members: int, wanted: int) -> None:
    if members < wanted:
        name = printable(listing.classes[label])
        raise SynthoodError(
            f"{printable(listing.origin)}: {members} images of {name}, at least {wanted} are needed; "
            f"ask for fewer per class or add images"
        )


def same_classes(listing: Listing, classes: list[str], where: str) -> Listing:
    """The listing with its labels numbered as in `classes`; raises where it holds a class that `where` does not."""
    unknown = [name for name in listing.classes if name not in classes]
    if unknown:
        raise SynthoodError(f"{printable(listing.origin)}: class {unknown[0]!r} is not among the classes of {where}")
    position = np.array([classes.index(name) for name in listing.classes], np.int64)
    return replace(listing, labels=position[listing.labels], classes=classes)

"""Labelled images before they are decoded, and how they are shared out to train, val and test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from synthood.common.seeds import derived_seed
from synthood.errors import SynthoodError


@dataclass
class Listing:
    """Files, or pixels uint8 [N,H,W,3], with labels int64 [N] (index into `classes`; -1: none), from `origin`."""

    images: list[Path] | np.ndarray
    labels: np.ndarray
    classes: list[str]
    origin: str

    def __len__(self) -> int:
        return len(self.images)

    def chosen(self, indices: np.ndarray) -> "Listing":
        """Those images alone."""
        images = [self.images[i] for i in indices] if isinstance(self.images, list) else self.images[indices]
        return replace(self, images=images, labels=self.labels[indices])

    def labelled_as(self, classes: list[str]) -> "Listing":
        """The same images with labels over other classes, found by name; raises where one is not among them."""
        strange = [self.classes[label] for label in np.unique(self.labels) if self.classes[label] not in classes]
        if strange or (len(self) and self.labels.min() < 0):
            raise SynthoodError(
                f"{self.origin}: images of {strange[0] if strange else 'no class'}, which is none of the classes that "
                f"are taught ({', '.join(classes)}); take them out, or name the set under near or far"
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


Splits = Mapping[str, Callable[[], Listing]]
"""What a source holds: `train`, `val` and `test`; `train` and `test`; or `all`."""


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


def id_listing(splits: Splits, part: str, shares: Shares, held_out: Sequence[str] = ()) -> Listing:
    """The part train, val or test of an ID source, its labels over the classes that are taught.

    With `held_out` the images of these classes: all of them, or those of the test images where there are such.
    A class that is left out leaves the shares of the others as they were.
    """
    if held_out:
        everything = splits["all" if "all" in splits else "test"]()
        chosen = np.flatnonzero(np.isin(everything.labels, _positions(everything, held_out)))
        if not len(chosen):
            raise SynthoodError(f"{everything.origin}: no image of the classes {', '.join(held_out)}")
        return everything.chosen(chosen)
    without = {name: partial(_without, made, shares.except_classes) for name, made in splits.items()}
    return _renumbered(_shared(without, part, shares), shares.except_classes)


def _positions(listing: Listing, names: Sequence[str]) -> list[int]:
    unknown = [name for name in names if name not in listing.classes]
    if unknown:
        known = ", ".join(listing.classes[:12])
        raise SynthoodError(f"{listing.origin}: no class {unknown[0]!r} to be left out (classes: {known})")
    return [listing.classes.index(name) for name in names]


def _without(made: Callable[[], Listing], names: Sequence[str]) -> Listing:
    listing = made()
    if not names:
        return listing
    left = np.flatnonzero(~np.isin(listing.labels, _positions(listing, names)))
    if not len(left):
        raise SynthoodError(f"{listing.origin}: no image is left but of {', '.join(names)}; hold out fewer classes")
    return listing.chosen(left)


def _renumbered(listing: Listing, names: Sequence[str]) -> Listing:
    if not names:
        return listing
    left = [name for name in listing.classes if name not in names]
    if len(left) < 2:
        raise SynthoodError(f"{listing.origin}: two classes must remain, {', '.join(left) or 'none'} is left")
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
        raise SynthoodError(
            f"{listing.origin}: {members} images of {listing.classes[label]}, at least {wanted} are needed; "
            f"ask for fewer per class or add images"
        )


def same_classes(listing: Listing, classes: list[str], where: str) -> Listing:
    """The listing with its labels numbered as in `classes`; raises where it holds a class that `where` does not."""
    unknown = [name for name in listing.classes if name not in classes]
    if unknown:
        raise SynthoodError(f"{listing.origin}: class {unknown[0]!r} is not among the classes of {where}")
    position = np.array([classes.index(name) for name in listing.classes], np.int64)
    return replace(listing, labels=position[listing.labels], classes=classes)

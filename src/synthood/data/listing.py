"""Labelled images before they are decoded, and how they are shared out to train, val and test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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


class Shares(Protocol):
    """The knobs of sharing out."""

    @property
    def train_per_class(self) -> int | None: ...

    @property
    def val_per_class(self) -> int | None: ...

    @property
    def seed(self) -> int: ...


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


def id_listing(splits: Splits, part: str, shares: Shares) -> Listing:
    """The part train, val or test of an ID source, its labels over the classes of the training images."""
    if "all" in splits:
        everything = splits["all"]()
        return everything.chosen(_undivided(everything, shares)[part])
    listing = splits[part]() if part in splits else splits["test"]()
    if part == "train":
        return _limited(listing, shares.train_per_class, shares.seed)
    if "val" not in splits:
        return listing.chosen(_held_out(listing, shares)[part])
    return listing if part == "test" else _limited(listing, shares.val_per_class, shares.seed)


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


def _limited(listing: Listing, wanted: int | None, seed: int) -> Listing:
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

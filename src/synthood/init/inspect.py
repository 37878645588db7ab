"""What the images of a folder are: classes, counts, sizes, modes, unreadable files, and images that come twice."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthood.common.images import pixel_sha256
from synthood.data.files.decode import GREY, Reading
from synthood.data.files.found import look
from synthood.data.files.listing import Listing
from synthood.data.files.names import some
from synthood.data.leaks.likeness import Looks, alike, joined, looks_of
from synthood.data.leaks.settings import LeakSettings
from synthood.data.selection import SPLITS, Selection
from synthood.data.sources.in_files import IdFiles, no_class_emptied
from synthood.errors import SynthoodError, printable
from synthood.init.layout import Layout

MOST = 5_000
"""Images of a part that are decoded, evenly spread, as in `check --data`."""
SIDE = 64
"""Pixels a side at which images are compared; simpler pictures than photographs look alike without being copies."""
LEAST = 5
"""Images of a class, without which nothing is trained, chosen and tested."""
FEW = 20
UNEVEN = 3
"""Largest class over smallest from which a folder is called uneven."""
COPIES = 3
"""Examples of images that come twice."""


@dataclass(frozen=True)
class Images:
    """The decoded images of a part: names, classes int64 [N], SHA-256 uint8 [N,32] of their pixels, and looks."""

    names: list[str]
    labels: np.ndarray
    digests: np.ndarray
    looks: Looks


@dataclass(frozen=True)
class Inspected:
    """A folder's ID images; `counts` int64 [C] by part, `sides` int64 [N] the decoded images' shorter sides."""

    layout: Layout
    classes: list[str]
    counts: dict[str, np.ndarray]
    sides: np.ndarray
    square: bool
    grey: int
    decoded: int
    bad: list[str]
    notes: list[str]
    repeated: list[tuple[str, str, bool]]
    """Images with the pixels of an earlier one, that one, and whether their classes differ."""
    near: list[tuple[str, str]]
    """Photographs that look like one of another split."""
    packed: bool = False
    """Whether the images are in arrays, none of which is unreadable alone."""

    @property
    def per_class(self) -> np.ndarray:
        """Images of each class, int64 [C]."""
        return np.sum(list(self.counts.values()), axis=0)

    @property
    def total(self) -> int:
        return int(self.per_class.sum())

    @property
    def side(self) -> int:
        """The median of the shorter sides."""
        return int(np.median(self.sides))


def inspect(layout: Layout) -> Inspected:
    """Lists all images and decodes at most 5,000 of each part, as preparation does.

    Raises SynthoodError where they cannot be read, are of one class, or some class has fewer than 5.
    """
    source = layout.source(on_bad_image="skip")
    listings: dict[str, Listing] = {part: source.listed(Selection(part=part)) for part in SPLITS}
    classes = listings["train"].classes
    counts = {part: np.bincount(one.labels, minlength=len(classes)) for part, one in listings.items()}
    _enough(layout, classes, np.sum(list(counts.values()), axis=0))
    packed = any(isinstance(one.images, np.ndarray) for one in listings.values())
    decoding = source if packed else layout.source(on_bad_image="skip", size=SIDE)
    seen, bad = Counter[tuple[str, tuple[int, int]]](), list[str]()
    parts: dict[str, Images] = {}
    for part, listing in listings.items():
        parts[part], reading = _decoded(listing, decoding)
        seen += reading.seen
        bad += reading.skipped
    sides = np.repeat([min(size) for _, size in seen], list(seen.values()))
    grey = _grey(listings) if packed else sum(count for (mode, _), count in seen.items() if mode in GREY)
    photographs = bool(np.median(sides) >= SIDE and grey < len(sides) / 2)
    return Inspected(
        layout=layout,
        classes=classes,
        counts=counts,
        sides=sides,
        square=len({size for _, size in seen}) == 1 and all(width == height for _, (width, height) in seen),
        grey=grey,
        decoded=seen.total(),
        bad=[*_unreadable_formats(layout, source), *bad],
        notes=list(dict.fromkeys(note for one in listings.values() for note in one.notes)),
        repeated=list(_repeated(parts)),
        near=list(_near(parts)) if layout.divided and photographs else [],
        packed=packed,
    )


def _enough(layout: Layout, classes: list[str], counts: np.ndarray) -> None:
    small = [f"{classes[i]!r} ({counts[i]})" for i in np.flatnonzero(counts < LEAST)]
    if small:
        where = printable(layout.keys["path"])
        raise SynthoodError(f"{where}: fewer than {LEAST} images of {some(small)}; add images, or move the folder away")


def _decoded(listing: Listing, source: IdFiles) -> tuple[Images, Reading]:
    chosen = np.unique(np.linspace(0, len(listing) - 1, min(MOST, len(listing))).round().astype(int))
    of = listing.chosen(chosen)
    reading = Reading(of, source, threads=source.threads)
    digests, looks, batch = list[np.ndarray](), list[Looks](), list[np.ndarray]()

    def look_at_batch() -> None:
        if batch:
            images = np.stack(batch)
            digests.append(pixel_sha256(images))
            looks.append(looks_of(images))
            batch.clear()

    for image in reading:
        batch.append(image)
        if len(batch) == 512:
            look_at_batch()
    look_at_batch()
    if len(chosen) == len(listing):
        no_class_emptied(of, reading)
    names = [_name(of, index, source) for index in reading.kept]
    return Images(names, reading.labels, np.concatenate(digests), joined(looks)), reading


def _name(listing: Listing, index: int, source: IdFiles) -> str:
    if isinstance(listing.images, np.ndarray):
        return f"{Path(listing.origin).name}, image {index}"
    file = listing.images[index]
    return str(file.relative_to(source.root)) if file.is_relative_to(source.root) else str(file)


def _grey(listings: dict[str, Listing]) -> int:
    """Grey images among arrays [N,H,W,3]."""
    from synthood.common.image_facts import are_grey

    return sum(int(are_grey(one.images[:MOST]).sum()) for one in listings.values() if not isinstance(one.images, list))


def _unreadable_formats(layout: Layout, source: IdFiles) -> list[str]:
    """Images of formats that are not read."""
    if layout.keys["kind"] != "folders":
        return []
    return [f"{printable(file)}: of a format that is not read" for file in look(source.root).unreadable]


def _repeated(parts: dict[str, Images]) -> Iterator[tuple[str, str, bool]]:
    first: dict[bytes, tuple[str, int]] = {}
    for one in parts.values():
        for name, label, digest in zip(one.names, one.labels.tolist(), one.digests, strict=True):
            earlier, of = first.setdefault(digest.tobytes(), (name, label))
            if earlier != name:
                yield name, earlier, of != label


def _near(parts: dict[str, Images]) -> Iterator[tuple[str, str]]:
    """Images of val and test that look like one of train, without those that have its very pixels."""
    limits = LeakSettings()
    train = parts["train"]
    known = {digest.tobytes() for digest in train.digests}
    for part in ("val", "test"):
        own = parts[part]
        found, _ = alike(own.looks, train.looks, limits.hash_bits, limits.correlation)
        for index in np.flatnonzero(found.place >= 0):
            if own.digests[index].tobytes() not in known:
                yield own.names[index], train.names[found.place[index]]


def problems(found: Inspected) -> Iterator[str]:
    """What is wrong with the images or needs a look, a sentence each."""
    yield from (f"problem: {text}" for text in _problems(found))


def _problems(found: Inspected) -> Iterator[str]:
    yield from found.layout.problems
    if found.bad:
        yield f"{len(found.bad)} images cannot be read and are left out: {some(found.bad, 3)}"
    if found.repeated:
        pairs = [f"{one} = {other}" for one, other, _ in found.repeated]
        yield f"{len(found.repeated)} images have the pixels of another one: {some(pairs, COPIES)}"
    if twice := [f"{one} = {other}" for one, other, differ in found.repeated if differ]:
        yield f"{len(twice)} of them are in two classes, one of which is wrong: {some(twice, COPIES)}"
    if found.near:
        pairs = [f"{one} ~ {other}" for one, other in found.near]
        yield f"{len(found.near)} test or validation images look like a training image: {some(pairs, COPIES)}"
    few = [f"{name} ({count})" for name, count in zip(found.classes, found.per_class, strict=True) if count < FEW]
    if few:
        yield f"few images of {some(few)}: figures of such classes are coarse"
    named_above = ("left out", "folders not read")
    yield from (note for note in found.notes if not any(words in note for words in named_above))


def summary(found: Inspected) -> Iterator[str]:
    """The folder in a few lines."""
    path = printable(found.layout.keys["path"])
    per_class = found.per_class
    low, high = int(per_class.argmin()), int(per_class.argmax())
    yield f"{path}: {found.layout.words}"
    parts = ", ".join(f"{part} {int(count.sum()):,}" for part, count in found.counts.items())
    yield f"  {found.total:,} images ({parts})"
    spread = (
        f"{per_class[low]:,} ({printable(found.classes[low])}) to {per_class[high]:,} "
        f"({printable(found.classes[high])}) images"
    )
    yield f"  {len(found.classes)} classes, " + (spread if low != high else f"{per_class[low]:,} images each")
    quantiles = np.quantile(found.sides, [0, 0.1, 0.5, 0.9, 1]).astype(int)
    sides = f"all {quantiles[0]}" if quantiles[0] == quantiles[-1] else " ".join(map(str, quantiles))
    what = "shorter side" if quantiles[0] == quantiles[-1] else "shorter side (least, 10 %, median, 90 %, most)"
    grey = "all grey" if found.grey == found.decoded else f"{found.grey:,} grey" if found.grey else "in colour"
    some_of = "" if found.decoded + len(found.bad) >= found.total else f"; {found.decoded:,} of them decoded"
    yield f"  {what} {sides} px; {grey}{some_of}"

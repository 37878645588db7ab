"""Image lists as OpenOOD writes them: one `path label` per line, paths below one folder."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from synthood.common import images
from synthood.common.lazy import np
from synthood.common.settings import Count, Seed, Settings
from synthood.data.claims import Claim
from synthood.data.files import labels as of_labels
from synthood.data.files.links import refuse_leaving
from synthood.data.files.listing import Listing, limited
from synthood.data.files.names import inside, normal, on_disk, read_text, some
from synthood.data.files.settings import Labels, ListedFiles, Text, Words
from synthood.data.selection import Selection, Split
from synthood.data.sources.base import IdSource
from synthood.data.sources.in_files import FileSet, IdFiles, InFiles, numbered_classes
from synthood.errors import SynthoodError, printable

LISTS = "benchmark_imglist"
"""The folder in which OpenOOD keeps its lists."""


class InList(ListedFiles, InFiles):
    """Images that text files name."""

    def raw_files(self, paths: list[Path]) -> Iterator[str]:
        yield from map(str, paths[:-1])
        yield from (f"{paths[-1]}/{name}" for name in _named_in_list(paths[-2]))


class Imglist(InList, FileSet):
    """Images below a folder that a text file names with their labels, one `path label` per line."""

    by_class = True

    kind: Literal["imglist"] = "imglist"
    list: Annotated[Text, Field(description="the text file")]
    count: Annotated[int | None, Field(ge=1, description="lines that the list must have")] = None
    reported_count: Annotated[int | None, Field(ge=1, description="another number of lines is told, not refused")] = (
        None
    )
    labels: Annotated[Labels | None, Field(description="these labels alone, numbered anew in ascending order")] = None
    except_labels: Annotated[Labels | None, Field(description="all but these labels")] = None
    classes: Annotated[Words | None, Field(description="names of labels 0, 1, ...; default: the folders' names")] = None

    def raw_paths(self, part: Selection) -> builtins.list[Path]:
        return [on_disk(Path(self.list)), on_disk(Path(self.path))]

    def download(self, part: str) -> tuple[str, Path] | None:
        return _download(self.list, self.path)

    def claims(self, part: str) -> builtins.list[Claim]:
        return [_claim(self.list, self.path, self.labels, self.except_labels)]

    def listing(self) -> Listing:
        return list_set(self)

    def of_taught(self, taught: IdSource) -> Listing:
        """With labels by number where the list has no names."""
        if self.classes is not None:
            return super().of_taught(taught)
        return list_set(self, numbered_classes(taught, self.list)).labelled_as(taught.classes_by_label())


class ListCounts(Settings):
    """Lines of an ID benchmark's three lists."""

    train: Annotated[Count | None, Field(description="lines of the training list")] = None
    val: Annotated[Count | None, Field(description="lines of the validation list")] = None
    test: Annotated[Count | None, Field(description="lines of the test list")] = None


class IdImglist(InList, IdFiles):
    """ID images below a folder that three text files name with their labels."""

    kind: Literal["imglist"] = "imglist"
    train: Annotated[Text, Field(description="text file of the training images")]
    val: Annotated[Text, Field(description="text file of the validation images")]
    test: Annotated[Text, Field(description="text file of the test images")]
    classes: Annotated[Words | Count | None, Field(description="names of labels 0, 1, ..., or their number")] = None
    labels: Annotated[Labels | None, Field(description="these labels alone, numbered anew in ascending order")] = None
    train_per_class: Annotated[
        int | None, Field(ge=1, description="so many training images of each class, drawn with the seed; default: all")
    ] = None
    seed: Seed = 0
    count: Annotated[ListCounts | None, Field(description="lines that the lists must have")] = None
    reported_count: Annotated[ListCounts | None, Field(description="other numbers are told, not refused")] = None

    @property
    def class_count(self) -> int | None:
        if self.labels is not None:
            return len(self.labels)
        return len(self.classes) if isinstance(self.classes, list) else self.classes

    def of_part(self, part: Split) -> Imglist:
        """One of the three lists, as a source of its own."""
        shared = {name: getattr(self, name) for name in ListedFiles.model_fields}
        counts = {name: getattr(value, part) for name in ("count", "reported_count") if (value := getattr(self, name))}
        words = self.classes if isinstance(self.classes, list) else None
        return Imglist(list=getattr(self, part), labels=self.labels, classes=words, **counts, **shared)

    def lines(self, split: Split) -> int | None:
        return getattr(self.count, split) if self.count and not self.labels else None

    def raw_paths(self, part: Selection) -> list[Path]:
        return [on_disk(Path(name)) for name in (self.train, getattr(self, part.split), self.path)]

    def download(self, part: str) -> tuple[str, Path] | None:
        return _download(self.train, self.path)

    def claims(self, part: str) -> list[Claim]:
        return [_claim(getattr(self, part), self.path, self.labels, None)]

    def disjoint(self, one: str, other: str) -> bool:
        return False

    def classes_by_label(self) -> list[str]:
        return id_classes(self)

    def listed(self, part: Selection) -> Listing:
        return id_list(self, part.split)


def _download(name: str, path: str) -> tuple[str, Path] | None:
    """OpenOOD's images and lists, where a list is in their folder and it or its first image is missing."""
    above = next((folder for folder in Path(name).parents if folder.name == LISTS), None)
    if above is None or _first_is_there(Path(name), Path(path)):
        return None
    return "openood-imagenet" if Path(path).name == "images_largescale" else "openood", above.parent


def _first_is_there(name: Path, path: Path) -> bool:
    """Whether a list is there, and the first image that it names."""
    if not name.is_file():
        return False
    with name.open(encoding="utf-8", errors="replace") as lines:
        first = next((line.strip().rpartition(" ")[0].rstrip() for line in lines if line.strip()), "")
    return bool(first) and (path / first).exists()


def _claim(name: str, path: str, labels: list[int] | None, but: list[int] | None) -> Claim:
    return Claim("imglist", (name, path), choice=of_labels.choice(labels, but))


def _named_in_list(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        return []
    return [line.strip().rpartition(" ")[0].rstrip() for line in lines if line.strip()]


def parse_list(text: str, name: object) -> tuple[list[str], np.ndarray]:
    """Paths and labels int64 of a list; raises, with the line's number, where a line is not `path label`.

    The label stands after the last blank, so paths may hold blanks; -1 says that there is none.
    """
    paths, labels = [], []
    first: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped:
            continue
        path, _, label = stripped.rpartition(" ")
        path = path.rstrip()
        if not path or not _is_label(label):
            raise SynthoodError(f"{name}, line {number}: expected a path, a blank and a label, got {line[:80]!r}")
        if not inside(path):
            raise SynthoodError(f"{name}, line {number}: {path!r} leaves the folder of the images")
        if path in first:
            raise SynthoodError(f"{name}, line {number}: {path!r} stands on line {first[path]} already")
        first[path] = number
        paths.append(path)
        labels.append(int(label))
    if not paths:
        raise SynthoodError(f"{name}: names no image")
    return paths, np.array(labels, np.int64)


def _is_label(word: str) -> bool:
    return word == "-1" or (word.isascii() and word.isdigit() and len(word) <= 9)


def list_set(settings: Imglist, classes: list[str] | None = None) -> Listing:
    """The images that a list names, with a note on a number of lines other than the reported one.

    `classes` are those of the labels; without, the list's own labels are kept and its folders name them. Raises where
    the number of lines is not `count`, a label lies outside the classes, or a file is missing.
    """
    name = on_disk(Path(settings.list))
    paths, labels = _lines(settings)
    remarks = []
    if settings.count not in (None, len(paths)):
        raise SynthoodError(f"{name}: names {len(paths)} images, the protocol {settings.count}; take its list")
    if settings.reported_count not in (None, len(paths)):
        remarks.append(f"{name}: names {len(paths)} images, reported were {settings.reported_count}")
    root, seen = on_disk(Path(settings.path)), dict[Path, dict[str, list[str]]]()
    files = [on_disk(root / path, seen) for path in paths]
    if seen and len(set(files)) < len(files):
        twice = next(file for file, count in Counter(files).items() if count > 1)
        raise SynthoodError(f"{printable(name)}: names {printable(twice)} twice, in two Unicode forms; name it once")
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise SynthoodError(
            f"{missing[0]}: not found, but named by {name} ({len(missing)} of its {len(files)} images are missing)"
        )
    if not settings.follow_links:
        refuse_leaving(files, Path(settings.path), name)
    classes = classes or settings.classes or _folder_names(paths, labels, name)
    if classes and (labels.min() < 0 or labels.max() >= len(classes)):
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        place = paths[int(np.flatnonzero(labels == wrong)[0])]
        raise SynthoodError(
            f"{name}: label {wrong} of {place} is not one of the {len(classes)} classes, 0 to {len(classes) - 1}"
        )
    return Listing(files, labels, classes, str(name), remarks)


def id_list(settings: IdImglist, part: Split) -> Listing:
    """One of the three lists of ID images; its labels must be among those of the training list."""
    classes = id_classes(settings)
    if part != "train":
        _apart(settings, part, _names(settings, "train"))
    listing = list_set(settings.of_part(part), classes)
    return limited(listing, settings.train_per_class, settings.seed) if part == "train" else listing


def id_classes(settings: IdImglist) -> list[str]:
    """The classes of ID images, by the training list."""
    train = settings.of_part("train")
    name = on_disk(Path(train.list))
    paths, labels = _lines(train)
    if labels.min() < 0:
        raise SynthoodError(f"{name}: {paths[int(labels.argmin())]} has label -1, but ID images need classes")
    classes = settings.classes if isinstance(settings.classes, list) else _folder_names(paths, labels, name)
    if isinstance(settings.classes, int) and len(classes) != settings.classes:
        raise SynthoodError(f"{name}: labels of {len(classes)} classes, the configuration says {settings.classes}")
    if len(classes) < 2:
        raise SynthoodError(f"{name}: one class alone, {some(classes)}; a classifier needs two classes")
    untaught = np.setdiff1d(np.arange(len(classes)), labels)
    if untaught.size:
        raise SynthoodError(f"{name}: no training image of class {classes[untaught[0]]!r}")
    return classes


def _apart(settings: IdImglist, part: Literal["val", "test"], train: set[str]) -> None:
    """Raises where an image of a held-out list stands in another list as well."""
    other: Literal["val", "test"] = "test" if part == "val" else "val"
    own, held_out = (_names(settings, name) for name in (part, other))
    for name, paths in (("train", train), (other, held_out)):
        if shared := own & paths:
            where = f"{getattr(settings, part)}: {min(shared)} stands in {getattr(settings, name)} as well"
            raise SynthoodError(f"{where}; an image belongs to one part")


def _names(settings: IdImglist, part: Split) -> set[str]:
    """The paths of a list in composed form."""
    return set(map(normal, _lines(settings.of_part(part))[0]))


def _lines(settings: Imglist) -> tuple[list[str], np.ndarray]:
    """Paths and labels of the lines that the settings choose."""
    name = on_disk(Path(settings.list))
    paths, labels = parse_list(read_text(name, "an image list"), name)
    if settings.labels is None and settings.except_labels is None:
        return paths, labels
    chosen, labels = of_labels.chosen(labels, settings.labels, settings.except_labels, name)
    return [paths[i] for i in chosen], labels


def _folder_names(paths: list[str], labels: np.ndarray, name: Path) -> list[str]:
    """The folder of each label's images as the name of the class, or its number where folders are no classes.

    Labels must run from 0 without a gap; where all are -1 there are no classes.
    """
    if labels.max() < 0:
        return []
    known = np.unique(labels[labels >= 0])
    if known.size != known[-1] + 1:
        gap = int(np.setdiff1d(np.arange(known[-1]), known)[0])
        raise SynthoodError(f"{name}: labels up to {known[-1]}, but none is {gap}; number the classes 0, 1, ...")
    found: dict[int, str] = {}
    for path, label in zip(paths, labels.tolist(), strict=True):
        folder = normal(PurePosixPath(path).parent.name)
        if found.setdefault(label, folder) != folder:
            break
    else:
        found.pop(images.OOD_LABEL, None)
        if all(found.values()) and len(set(found.values())) == len(found):
            return [found[label] for label in range(len(found))]
    return [str(label) for label in range(known.size)]

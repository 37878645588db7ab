"""Images of `.npz`, `.npy` and IDX files, without pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from synthood.common import image_facts, images
from synthood.common.images import ImageSet
from synthood.common.lazy import np
from synthood.common.settings import Count, Seed
from synthood.data.claims import Claim
from synthood.data.files import decode
from synthood.data.files import labels as of_labels
from synthood.data.files.idx import is_idx, labels_of, read_idx, unpacked_or_packed
from synthood.data.files.listing import of_splits, share_out
from synthood.data.files.settings import ExceptClasses, Labels, Words
from synthood.data.selection import Selection
from synthood.data.sources.base import IdSource, LabelledSet
from synthood.errors import SynthoodError


class Arrays(LabelledSet):
    """Images uint8 [N,H,W,3], or grey [N,H,W], of an `.npz`, `.npy` or IDX file; labels only choose among them."""

    kind: Literal["arrays"] = "arrays"
    path: Annotated[str, Field(min_length=1, description="the file, relative to where snakemake runs")]
    size: Annotated[
        int | None, Field(ge=8, le=64, description="side in pixels: the shorter side is resized, the centre cut out")
    ] = None
    labels: Annotated[Labels | None, Field(description="images with these labels alone")] = None
    except_labels: Annotated[Labels | None, Field(description="all but the images with these labels")] = None

    def raw_paths(self, part: Selection) -> list[Path]:
        return _with_labels(Path(self.path))

    def claims(self, part: str) -> list[Claim]:
        return [Claim("arrays", (self.path,), choice=of_labels.choice(self.labels, self.except_labels))]

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        path = Path(self.path)
        if self.labels is None and self.except_labels is None:
            return read_arrays(path, self.size, labelled=False).chosen(slice(None))
        read = read_arrays(path, self.size)
        if read.labels is None:
            raise SynthoodError(f"{path}: no labels, by which `labels` or `except_labels` could choose")
        indices, _ = of_labels.chosen(read.labels, self.labels, self.except_labels, path)
        return read.chosen(indices)


class IdArrays(IdSource, ExceptClasses):
    """ID images of two files with `images` uint8 [N,H,W,3] and `labels`; val is taken out of the test file."""

    kind: Literal["arrays"] = "arrays"
    train: Annotated[str, Field(min_length=1, description="file of the training images")]
    test: Annotated[str, Field(min_length=1, description="file of the validation and test images")]
    classes: Words
    val_per_class: Annotated[Count, Field(description="validation images of each class")]
    train_per_class: Annotated[int | None, Field(ge=1, description="so many of each class instead of all")] = None
    size: Annotated[
        int | None, Field(ge=8, le=64, description="side in pixels: the shorter side is resized, the centre cut out")
    ] = None
    seed: Seed = 0

    @property
    def class_count(self) -> int:
        return len(self.classes) - len(set(self.except_classes))

    def raw_paths(self, part: Selection) -> list[Path]:
        read = part.splits_read or ["train" if part.part == "train" else "test"]
        files = {"train": self.train, "test": self.test}
        return [path for name, file in files.items() if name in read for path in _with_labels(Path(file))]

    def claims(self, part: str) -> list[Claim]:
        return [Claim("arrays", (self.train if part == "train" else self.test,))]

    def disjoint(self, one: str, other: str) -> bool:
        return "train" not in (one, other)

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        return split_arrays(self, part)


def _with_labels(path: Path) -> list[Path]:
    """An array, and the labels next to `images.npy` or an IDX file of images where there are some."""
    if is_idx(path):
        path = unpacked_or_packed(path)
        beside = labels_of(path)
    else:
        beside = path.with_name(path.name.replace("images", "labels")) if path.suffix == ".npy" else None
    return [path, beside] if beside is not None and beside != path and beside.exists() else [path]


@dataclass(frozen=True)
class Pixels:
    """Images uint8 [N,H,W,3] of a file, labels int64 [N] where there are some, and what was done to the images."""

    images: np.ndarray
    labels: np.ndarray | None
    notes: list[str]
    history: tuple[int, str]

    def chosen(
        self, indices: np.ndarray | slice, labels: np.ndarray | None = None, classes: Sequence[str] = ()
    ) -> ImageSet:
        """Those images as a set of their own: OOD without `labels`."""
        pixels = self.images[indices]
        facts = image_facts.ImageFacts.of(pixels, self.history[0], "array", self.history[1])
        if labels is None:
            made = images.ImageSet.out_of_distribution(pixels)
        else:
            made = images.ImageSet(pixels, labels, list(classes))
        made.notes, made.facts = self.notes, facts
        return made


def read_arrays(path: Path, size: int | None, labelled: bool = True) -> Pixels:
    """Images of at most 64 px, resized and cut as files are where asked; grey ones [N,H,W] or [N,H,W,1] become RGB.

    The labels of `images.npy` and of IDX files are those of the file of labels next to it, looked at where `labelled`.
    """
    reads = _idx if is_idx(path) else _npy if path.suffix == ".npy" else _npz
    try:
        images, labels = reads(path, labelled)
    except FileNotFoundError as error:
        raise SynthoodError(f"{path}: not found; give the path of an .npz file in the configuration") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SynthoodError(f"{path}: not an .npz file with plain arrays `images` and `labels` ({error})") from error
    grey = images.dtype == np.uint8 and (images.ndim == 3 or images.shape[3:] == (1,))
    notes = [f"{len(images)} grey images became RGB"] if grey else []
    if grey:
        images = np.repeat(images.reshape(*images.shape[:3], 1), 3, axis=3)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
        raise SynthoodError(
            f"{path}: expected images uint8 [N,H,W,3] or grey [N,H,W], got {images.dtype} {images.shape}; "
            f"store values from 0 to 255 as uint8, channels last"
        )
    if labels is not None:
        labels = whole_labels(labels, path)
        if labels.shape != images.shape[:1]:
            raise SynthoodError(f"{path}: {len(images)} images and labels of shape {labels.shape}")
    height, width = images.shape[1:3]
    if size is not None and (height, width) != (size, size):
        images = resized(images, size)
        cut = f"images of {width}x{height} px became {size}x{size}: resized, and the centre cut"
        notes += [cut] * (width != height)
    if max(images.shape[1:3]) > 64:
        raise SynthoodError(f"{path}: images of {images.shape[1:3]} px; set `size` to 64 or less")
    return Pixels(images, labels, notes, image_facts.history(width, height, size))


def whole_labels(labels: np.ndarray, name: object) -> np.ndarray:
    """Labels as int64; SynthoodError unless they are whole numbers, none of which has to be rounded or wraps around."""
    kind = labels.dtype
    if kind.kind not in "iuf":
        raise SynthoodError(f"{name}: labels of type {kind}; store them as whole numbers 0, 1, ...")
    with np.errstate(invalid="ignore"):
        whole = labels.astype(np.int64)
    wrong = np.flatnonzero((whole != labels).ravel() | ((whole < 0) != (labels < 0)).ravel())
    if wrong.size:
        first = labels.ravel()[wrong[0]]
        raise SynthoodError(f"{name}: label {first} of image {wrong[0]} is not a whole number that a class can have")
    return whole


def _npz(path: Path, labelled: bool) -> tuple[np.ndarray, np.ndarray | None]:
    with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as file:
        return file["images"], file["labels"] if labelled and "labels" in file else None


def _npy(path: Path, labelled: bool) -> tuple[np.ndarray, np.ndarray | None]:
    files = _with_labels(path)
    labels = np.load(files[1], allow_pickle=False) if labelled and len(files) > 1 else None
    return np.load(path, allow_pickle=False), labels


def _idx(path: Path, labelled: bool) -> tuple[np.ndarray, np.ndarray | None]:
    files = _with_labels(path)
    return read_idx(path, 3), read_idx(files[1], 1) if labelled and len(files) > 1 else None


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images to size x size as those of files: the shorter side bilinear with antialiasing, then the centre."""
    from PIL import Image

    return np.stack([np.asarray(decode.fitted(Image.fromarray(image), size, None)) for image in images])


def split_arrays(settings: IdArrays, part: Selection) -> ImageSet:
    """Part train (all, or `train_per_class`), or val and test, which share out the test file class by class.

    With `part.held_out` the images of these classes of both files, or of one by `held_out_splits`, as OOD.
    """
    out = {*settings.except_classes, *part.held_out}
    left = [label for label, name in enumerate(settings.classes) if name not in out]
    if part.held_out:
        files = of_splits({"train": settings.train, "test": settings.test}, part.held_out_splits)
        return _held_out([Path(file) for file in files.values()], settings, part.held_out)
    train = part.part == "train"
    path = Path(settings.train if train else settings.test)
    read, every = _known(path, settings, left)
    taught = np.flatnonzero(np.isin(every, left))
    labels = every[taught]
    wanted = settings.train_per_class if train else settings.val_per_class

    def takes(label: int, members: int) -> list[int]:
        if wanted is not None and members <= wanted - train:
            raise SynthoodError(f"{path}: {members} images of {settings.classes[label]}, {wanted} asked for")
        return [members if wanted is None else wanted]

    first, rest = share_out(labels, takes, settings.seed)
    chosen = rest if part.part == "test" else first
    classes = [settings.classes[label] for label in left]
    return read.chosen(taught[chosen], np.searchsorted(left, labels[chosen]), classes)


def _known(path: Path, settings: IdArrays, left: Sequence[int]) -> tuple[Pixels, np.ndarray]:
    """A file and its labels; raises where a label is none of the classes, or one of `left` has no image."""
    read = read_arrays(path, settings.size)
    labels = read.labels
    if labels is None or not set(left) <= set(np.unique(labels)) <= set(range(len(settings.classes))):
        found = "no labels" if labels is None else f"labels {np.unique(labels)[:12].tolist()}"
        raise SynthoodError(f"{path}: {found}, but the configuration names {len(settings.classes)} classes")
    return read, labels


def _held_out(paths: Sequence[Path], settings: IdArrays, held_out: Sequence[str]) -> ImageSet:
    """The images of some classes of the files, one after the other."""
    wanted = [settings.classes.index(name) for name in held_out]
    found: list[ImageSet] = []
    there: set[int] = set()
    for path in paths:
        read, labels = _known(path, settings, [])
        if found and read.images.shape[1:] != found[0].images.shape[1:]:
            raise SynthoodError(f"{path}: images of {read.images.shape[1:3]} px, {paths[0]} has others; set `size`")
        chosen = np.flatnonzero(np.isin(labels, wanted))
        there |= set(labels[chosen].tolist())
        if len(chosen):
            found.append(read.chosen(chosen))
    missing = [name for name, label in zip(held_out, wanted, strict=True) if label not in there]
    if missing:
        raise SynthoodError(f"{paths[0]}: no image of the held-out classes {', '.join(missing)}")
    return images.concatenate(found)

"""Images of `.npz` and `.npy` files, without pickle."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthood.common.image_facts import ImageFacts, history
from synthood.common.images import ImageSet, concatenate
from synthood.data.files.decode import fitted
from synthood.data.files.listing import of_splits, share_out
from synthood.data.files.settings import IdArrays
from synthood.errors import SynthoodError


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
        images = self.images[indices]
        facts = ImageFacts.of(images, self.history[0], "array", self.history[1])
        made = ImageSet.out_of_distribution(images) if labels is None else ImageSet(images, labels, list(classes))
        made.notes, made.facts = self.notes, facts
        return made


def read_arrays(path: Path, size: int | None, labelled: bool = True) -> Pixels:
    """Images of at most 64 px, resized and cut as files are where asked; grey ones [N,H,W] or [N,H,W,1] become RGB.

    The labels of `images.npy` are those of `labels.npy` beside it; they are looked at where `labelled`.
    """
    try:
        images, labels = _npy(path, labelled) if path.suffix == ".npy" else _npz(path, labelled)
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
    return Pixels(images, labels, notes, history(width, height, size))


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
    beside = path.with_name(path.name.replace("images", "labels"))
    labels = np.load(beside, allow_pickle=False) if labelled and beside != path and beside.exists() else None
    return np.load(path, allow_pickle=False), labels


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images to size x size as those of files: the shorter side bilinear with antialiasing, then the centre."""
    from PIL import Image

    return np.stack([np.asarray(fitted(Image.fromarray(image), size, None)) for image in images])


def split_arrays(
    settings: IdArrays, part: str, held_out: Sequence[str] = (), held_out_splits: Sequence[str] = ()
) -> ImageSet:
    """Part train (all, or `train_per_class`), or val and test, which share out the test file class by class.

    With `held_out` the images of these classes of both files, or of one by `held_out_splits`, as OOD.
    """
    out = {*settings.except_classes, *held_out}
    left = [label for label, name in enumerate(settings.classes) if name not in out]
    if held_out:
        files = of_splits({"train": settings.train, "test": settings.test}, held_out_splits)
        return _held_out([Path(file) for file in files.values()], settings, held_out)
    path = Path(settings.train if part == "train" else settings.test)
    read, every = _known(path, settings, left)
    taught = np.flatnonzero(np.isin(every, left))
    labels = every[taught]
    wanted = settings.train_per_class if part == "train" else settings.val_per_class

    def takes(label: int, members: int) -> list[int]:
        if wanted is not None and members <= wanted - (part == "train"):
            raise SynthoodError(f"{path}: {members} images of {settings.classes[label]}, {wanted} asked for")
        return [members if wanted is None else wanted]

    first, rest = share_out(labels, takes, settings.seed)
    chosen = rest if part == "test" else first
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
    return concatenate(found)

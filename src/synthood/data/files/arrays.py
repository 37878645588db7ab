"""Images of `.npz` and `.npy` files, without pickle."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthood.common.images import ImageSet
from synthood.data.files.listing import of_splits, share_out
from synthood.data.files.settings import IdArrays
from synthood.errors import SynthoodError


def read_npz(path: Path, size: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Images uint8 [N,H,W,3] of at most 64 px, resized where asked, and labels int64 [N] where there are some.

    The labels of `images.npy` are those of `labels.npy` beside it.
    """
    try:
        images, labels = _npy(path) if path.suffix == ".npy" else _npz(path)
    except FileNotFoundError as error:
        raise SynthoodError(f"{path}: not found; give the path of an .npz file in the configuration") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SynthoodError(f"{path}: not an .npz file with plain arrays `images` and `labels` ({error})") from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
        raise SynthoodError(f"{path}: expected images uint8 [N,H,W,3], got {images.dtype} {images.shape}")
    if labels is not None and labels.shape != images.shape[:1]:
        raise SynthoodError(f"{path}: {len(images)} images and labels of shape {labels.shape}")
    if size is not None and images.shape[1:3] != (size, size):
        images = resized(images, size)
    if max(images.shape[1:3]) > 64:
        raise SynthoodError(f"{path}: images of {images.shape[1:3]} px; set `size` to 64 or less")
    return images, labels


def _npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as file:
        return file["images"], file["labels"].astype(np.int64) if "labels" in file else None


def _npy(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    beside = path.with_name(path.name.replace("images", "labels"))
    labels = np.load(beside, allow_pickle=False).astype(np.int64) if beside != path and beside.exists() else None
    return np.load(path, allow_pickle=False), labels


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images to size x size, bilinear with antialiasing, as Pillow does it."""
    from PIL import Image

    each = [Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image) for image in each])


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
    images, labels = _known(path, settings, left)
    if settings.except_classes:
        taught = np.isin(labels, left)
        images, labels = images[taught], labels[taught]
    wanted = settings.train_per_class if part == "train" else settings.val_per_class

    def takes(label: int, members: int) -> list[int]:
        if wanted is not None and members <= wanted - (part == "train"):
            raise SynthoodError(f"{path}: {members} images of {settings.classes[label]}, {wanted} asked for")
        return [members if wanted is None else wanted]

    first, rest = share_out(labels, takes, settings.seed)
    chosen = rest if part == "test" else first
    return ImageSet(images[chosen], np.searchsorted(left, labels[chosen]), [settings.classes[label] for label in left])


def _known(path: Path, settings: IdArrays, left: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a file; raises where a label is none of the classes, or one of `left` has no image."""
    images, labels = read_npz(path, settings.size)
    if labels is None or not set(left) <= set(np.unique(labels)) <= set(range(len(settings.classes))):
        found = "no labels" if labels is None else f"labels {np.unique(labels)[:12].tolist()}"
        raise SynthoodError(f"{path}: {found}, but the configuration names {len(settings.classes)} classes")
    return images, labels


def _held_out(paths: Sequence[Path], settings: IdArrays, held_out: Sequence[str]) -> ImageSet:
    """The images of some classes of the files, one after the other."""
    wanted = [settings.classes.index(name) for name in held_out]
    found: list[np.ndarray] = []
    there: set[int] = set()
    for path in paths:
        images, labels = _known(path, settings, [])
        if found and images.shape[1:] != found[0].shape[1:]:
            raise SynthoodError(f"{path}: images of {images.shape[1:3]} px, {paths[0]} has others; set `size`")
        chosen = np.isin(labels, wanted)
        found.append(images[chosen])
        there |= set(labels[chosen].tolist())
    missing = [name for name, label in zip(held_out, wanted, strict=True) if label not in there]
    if missing:
        raise SynthoodError(f"{paths[0]}: no image of the held-out classes {', '.join(missing)}")
    return ImageSet.out_of_distribution(np.concatenate(found))

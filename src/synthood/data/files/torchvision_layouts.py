"""Data sets as torchvision lays them out on disk, read without torchvision and without running foreign pickles."""

import gzip
import pickle
import zlib
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from synthood.data.files.arrays import whole_labels
from synthood.data.files.folders import class_folders, class_names
from synthood.data.files.imglist import read_text
from synthood.data.files.layouts import PLACES, root_of
from synthood.data.files.listing import Listing, Splits
from synthood.data.files.names import on_disk
from synthood.data.files.settings import IdTorchvision, Torchvision
from synthood.errors import SynthoodError

FASHION = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


def layout_set(settings: Torchvision) -> Listing:
    """The training or the test images; of DTD the first of its ten partitions, of ImageNet val as test."""
    return _splits(settings)[settings.split]()


def layout_splits(settings: IdTorchvision) -> Splits:
    """Training and test images, and DTD's validation images."""
    return _splits(settings)


def _splits(settings: Torchvision | IdTorchvision) -> Splits:
    kind, place = settings.kind, existing_root(settings.kind, on_disk(Path(settings.path)))
    match kind:
        case "cifar10":
            batches = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
            return {name: partial(_cifar, place, files, "labels", "batches.meta") for name, files in batches.items()}
        case "cifar100":
            return {name: partial(_cifar, place, [name], "fine_labels", "meta") for name in ("train", "test")}
        case "svhn":
            return {name: partial(_svhn, place / f"{name}_32x32.mat") for name in ("train", "test")}
        case "dtd":
            return {name: partial(_dtd, place, name) for name in ("train", "val", "test")}
        case "imagenet":
            classes = partial(_imagenet, place, settings)
            return {"train": partial(classes, "train"), "test": partial(classes, "val")}
        case _:
            words = FASHION if kind == "fashion-mnist" else [str(digit) for digit in range(10)]
            return {name: partial(_idx, place, start, words) for name, start in (("train", "train"), ("test", "t10k"))}


def existing_root(kind: str, path: Path) -> Path:
    """The folder that holds a layout's files; raises where there is none."""
    place = root_of(kind, path)
    if not place.is_dir():
        raise SynthoodError(f"{place}: not found; give the folder that holds {PLACES[kind] or 'the files'} as `path`")
    return place


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers, numbers, text and numpy arrays; every other name in a pickle is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray"):
            allowed = {"ndarray": np.ndarray, "dtype": np.dtype, "_reconstruct": np.empty(0).__reduce__()[0]}
            if name in allowed:
                return allowed[name]
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which plain data does not need")


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into old pickles; no other codec is run."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding}")
    return text.encode("latin1")


def read_plain_pickle(path: Path) -> dict[str, Any]:
    """A pickled mapping of plain data; raises where the file is missing, damaged, or asks for any code."""
    try:
        with path.open("rb") as stream:
            content = _PlainUnpickler(stream, encoding="latin1").load()
    except FileNotFoundError as error:
        raise SynthoodError(f"{path}: not found; unpack the archive again") from error
    except Exception as error:  # unpickling damaged bytes raises nearly anything
        raise SynthoodError(f"{path}: not a readable pickle of plain data ({error})") from error
    if not isinstance(content, dict):
        raise SynthoodError(f"{path}: expected a mapping, found {type(content).__name__}")
    return content


def _cifar(place: Path, names: list[str], labels_key: str, meta: str) -> Listing:
    pixels, labels = [], []
    for name in names:
        content = read_plain_pickle(place / name)
        data, found = content.get("data"), content.get(labels_key)
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
            raise SynthoodError(f"{place / name}: no array `data` uint8 [N,3072]")
        if not isinstance(found, list) or len(found) != len(data) or not all(isinstance(y, int) for y in found):
            raise SynthoodError(f"{place / name}: {len(data)} images, but not as many numbers in `{labels_key}`")
        pixels.append(data)
        labels += found
    words = read_plain_pickle(place / meta).get("label_names" if labels_key == "labels" else "fine_label_names")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise SynthoodError(f"{place / meta}: no names of the classes")
    images = np.concatenate(pixels).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return _checked(Listing(np.ascontiguousarray(images), np.array(labels, np.int64), words, str(place)))


def _svhn(path: Path) -> Listing:
    """Label 10 stands for the digit 0."""
    from scipy.io import loadmat

    if not path.is_file():
        raise SynthoodError(f"{path}: not found; give the folder that holds it as `path`")
    try:
        content = loadmat(path, variable_names=["X", "y"])
        images, labels = np.asarray(content["X"]), np.asarray(content["y"]).reshape(-1)
    except Exception as error:  # scipy's reader raises nearly anything at damaged bytes
        raise SynthoodError(f"{path}: not a readable MATLAB file with X and y ({error})") from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise SynthoodError(f"{path}: expected X uint8 [32,32,3,N], got {images.dtype} {images.shape}")
    labels = whole_labels(labels, path)
    digits = [str(digit) for digit in range(10)]
    pixels = np.ascontiguousarray(images.transpose(3, 0, 1, 2))
    return _checked(Listing(pixels, np.where(labels == 10, 0, labels), digits, str(path)))


def _idx(place: Path, start: str, words: list[str]) -> Listing:
    images = read_idx(place / f"{start}-images-idx3-ubyte", 3)
    labels = read_idx(place / f"{start}-labels-idx1-ubyte", 1).astype(np.int64)
    return _checked(Listing(np.repeat(images[..., None], 3, axis=3), labels, words, f"{place}/{start}"))


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """An array uint8 of an IDX file, or of the same file with `.gz`."""
    packed = path.with_name(f"{path.name}.gz")
    path = packed if packed.exists() and not path.exists() else path

    def parsed(stream: BinaryIO | gzip.GzipFile) -> np.ndarray:
        head = np.frombuffer(stream.read(4 * (1 + dimensions)), ">u4")
        if head.size != 1 + dimensions or head[0] != 0x0800 + dimensions:
            raise SynthoodError(f"{path}: not an IDX file of bytes in {dimensions} dimensions")
        shape = tuple(int(side) for side in head[1:])
        body = np.frombuffer(stream.read(), np.uint8)
        if body.size != np.prod(shape, dtype=object):
            raise SynthoodError(f"{path}: truncated or damaged ({body.size} bytes for {shape})")
        return body.reshape(shape)

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return parsed(stream)
    except FileNotFoundError as error:
        raise SynthoodError(f"{path}: not found; give the folder that holds MNIST's or FashionMNIST's files") from error
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise SynthoodError(f"{path}: truncated or damaged ({error})") from error


def _dtd(place: Path, name: str) -> Listing:
    listed = place / "labels" / f"{name}1.txt"
    words = class_names(place / "images")
    images = place / "images"
    files = [images / line.strip() for line in read_text(listed, "DTD's lists").split("\n") if line.strip()]
    strange = (f for f in files if f.parent.name not in words or f.parent.parent != images or not f.is_file())
    unknown = next(strange, None)
    if unknown is not None:
        raise SynthoodError(f"{unknown}: not found, but named by {listed}")
    labels = [words.index(file.parent.name) for file in files]
    return _checked(Listing(files, np.array(labels, np.int64), words, str(listed)))


def _imagenet(place: Path, settings: Torchvision | IdTorchvision, split: str) -> Listing:
    return class_folders([place / split], settings, class_names(place / "train"))


def _checked(listing: Listing) -> Listing:
    """Raises where images and labels differ in number, or labels lie outside the classes."""
    if len(listing) == 0 or len(listing.labels) != len(listing):
        raise SynthoodError(f"{listing.origin}: {len(listing)} images and {len(listing.labels)} labels")
    low, high = int(listing.labels.min()), int(listing.labels.max())
    if low < 0 or high >= len(listing.classes):
        raise SynthoodError(
            f"{listing.origin}: labels run from {low} to {high}, not from 0 to {len(listing.classes) - 1}"
        )
    return listing

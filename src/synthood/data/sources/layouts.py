"""Layouts that torchvision writes, one class each; read without torchvision and without running foreign pickles."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal
from unicodedata import normalize

from synthood.common.lazy import np
from synthood.data.files.idx import IMAGES, LABELS, read_idx, unpacked_or_packed
from synthood.data.files.listing import Listing, Splits
from synthood.data.files.names import on_disk, read_text
from synthood.data.files.settings import Files
from synthood.data.sources.arrays import whole_labels
from synthood.data.sources.folders import class_folders, class_names
from synthood.errors import SynthoodError
from synthood.plugins import Plugin, subclasses

DIGITS = [str(digit) for digit in range(10)]
FASHION = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


class Layout(Plugin):
    """How torchvision lays out a data set; without keys."""

    place: ClassVar[str] = ""
    """Below the folder that torchvision calls `root`."""
    archive: ClassVar[str | None] = None
    """The folder that `synthood fetch` makes, where it is another one."""
    side: ClassVar[int | None] = None
    """Pixels of the images, where all have as many."""
    class_count: ClassVar[int]

    kind: str

    def root(self, path: Path) -> Path:
        """The folder that holds the files; `path` may be it or what torchvision calls `root`."""
        place = path / self.place
        return path if not place.is_dir() and path.match(self.place or "*") else place

    def looks_like(self, path: Path) -> bool:
        """Whether a folder holds this data set and no other in the same files."""
        return bool(self.place) and self.root(path).is_dir()

    def parent_of(self, path: Path) -> Path:
        """What `fetch` must be given so that the files lie where the configuration says."""
        inside = self.place if self.archive is None else self.archive
        return path.parents[len(Path(inside).parts) - 1] if inside and path.match(inside) else path

    def files_of(self, path: Path, part: str) -> list[Path]:
        """Files and folders that a part is read from; of packed and unpacked ones that which is there."""
        return self.files_below(self.root(path), part == "train")

    def splits(self, settings: Files) -> Splits:
        """The images of train and test, and of val where there are some; raises where there is no such folder."""
        place = self.root(on_disk(Path(settings.path)))
        if not place.is_dir():
            raise SynthoodError(f"{place}: not found; give the folder that holds {self.place or 'the files'} as `path`")
        return self.splits_below(place, settings)

    def files_below(self, place: Path, train: bool) -> list[Path]:
        """The files of the training or of the test images."""
        raise NotImplementedError

    def splits_below(self, place: Path, settings: Files) -> Splits:
        """The images of each split."""
        raise NotImplementedError

    def class_names(self, place: Path, asked: list[str]) -> list[str] | None:
        """Names of all classes, or those `asked` that are there; None where only the images' files tell them."""
        return None


class Cifar10(Layout):
    """CIFAR-10 as Python's pickles."""

    place, side, class_count = "cifar-10-batches-py", 32, 10
    kind: Literal["cifar10"] = "cifar10"

    def files_below(self, place: Path, train: bool) -> list[Path]:
        return [place / name for name in (*self.batches(train), "batches.meta")]

    def splits_below(self, place: Path, settings: Files) -> Splits:
        splits = {"train": True, "test": False}
        return {
            name: partial(_cifar, place, self.batches(train), "labels", "batches.meta")
            for name, train in splits.items()
        }

    def batches(self, train: bool) -> list[str]:
        """Names of the files."""
        return [f"data_batch_{i}" for i in range(1, 6)] if train else ["test_batch"]


class Cifar100(Layout):
    """CIFAR-100 as Python's pickles, with its fine labels."""

    place, side, class_count = "cifar-100-python", 32, 100
    kind: Literal["cifar100"] = "cifar100"

    def files_below(self, place: Path, train: bool) -> list[Path]:
        return [place / ("train" if train else "test"), place / "meta"]

    def splits_below(self, place: Path, settings: Files) -> Splits:
        return {name: partial(_cifar, place, [name], "fine_labels", "meta") for name in ("train", "test")}


class Svhn(Layout):
    """Cropped house numbers, as MATLAB files."""

    archive, side, class_count = "svhn", 32, 10
    kind: Literal["svhn"] = "svhn"

    def files_below(self, place: Path, train: bool) -> list[Path]:
        return [place / f"{'train' if train else 'test'}_32x32.mat"]

    def splits_below(self, place: Path, settings: Files) -> Splits:
        return {name: partial(_svhn, place / f"{name}_32x32.mat") for name in ("train", "test")}

    def class_names(self, place: Path, asked: list[str]) -> list[str]:
        return DIGITS


class InIdx(Layout):
    """IDX files, packed or not, in torchvision's folder or directly in the path."""

    side, class_count = 28, 10
    words: ClassVar[list[str]]
    labels_sha256: ClassVar[tuple[str, str]]
    """Of the labels of train and test, which tell apart data sets whose files have the same names."""

    def root(self, path: Path) -> Path:
        here = (file for train in (True, False) for file in idx_files(path, train))
        return path if any(file.exists() for file in here) else super().root(path)

    def looks_like(self, path: Path) -> bool:
        labels = idx_files(path, True)[1]
        here = labels.exists() and _sha256(read_idx(labels, 1)) == self.labels_sha256[0]
        return here or Layout.root(self, path).is_dir()

    def files_below(self, place: Path, train: bool) -> list[Path]:
        return idx_files(place, train)

    def splits_below(self, place: Path, settings: Files) -> Splits:
        return {name: partial(self.listing, place, start) for name, start in (("train", "train"), ("test", "t10k"))}

    def class_names(self, place: Path, asked: list[str]) -> list[str]:
        return self.words

    def listing(self, place: Path, start: str) -> Listing:
        """The images of files that begin with `start`; raises where the labels are another data set's."""
        labels = read_idx(place / f"{start}-{LABELS}-ubyte", 1)
        found = _sha256(labels)
        for other in subclasses(InIdx):
            if found in getattr(other, "labels_sha256", ()) and found not in self.labels_sha256:
                name = other.model_validate({}).kind
                raise SynthoodError(f"{place}: the labels of {name}, not of {self.kind}; write `kind: {name}`")
        images = read_idx(place / f"{start}-{IMAGES}-ubyte", 3)
        pixels = np.repeat(images[..., None], 3, axis=3)
        return _checked(Listing(pixels, labels.astype(np.int64), self.words, f"{place}/{start}"))


class Mnist(InIdx):
    """MNIST as IDX files, packed or not."""

    place, words = "MNIST/raw", DIGITS
    labels_sha256 = (
        "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    )
    kind: Literal["mnist"] = "mnist"


class FashionMnist(InIdx):
    """Fashion-MNIST as IDX files, packed or not, such as those of Debian's package dataset-fashion-mnist."""

    place, words = "FashionMNIST/raw", FASHION
    labels_sha256 = (
        "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    )
    kind: Literal["fashion-mnist"] = "fashion-mnist"


class Dtd(Layout):
    """The first of DTD's ten partitions."""

    place, class_count = "dtd/dtd", 47
    kind: Literal["dtd"] = "dtd"

    def files_below(self, place: Path, train: bool) -> list[Path]:
        return [place / "labels", place / "images"]

    def splits_below(self, place: Path, settings: Files) -> Splits:
        return {name: partial(_dtd, place, name) for name in ("train", "val", "test")}

    def class_names(self, place: Path, asked: list[str]) -> list[str]:
        return folders_below(place, asked)


class ImageNet(Layout):
    """ImageNet; its val images are the test images."""

    class_count = 1000
    kind: Literal["imagenet"] = "imagenet"

    def files_below(self, place: Path, train: bool) -> list[Path]:
        return [place / "train"] if train else [place / "train", place / "val"]

    def splits_below(self, place: Path, settings: Files) -> Splits:
        def listing(split: str) -> Listing:
            return class_folders([place / split], settings, class_names(place / "train"))

        return {"train": partial(listing, "train"), "test": partial(listing, "val")}

    def class_names(self, place: Path, asked: list[str]) -> list[str]:
        return folders_below(place, asked)


def folders_below(folder: Path, asked: list[str]) -> list[str]:
    """Folders below one, and those among `asked` that lie one level deeper, such as below `train`."""
    above = [one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")]
    spelt = {form: word for word in asked for form in (word, normalize("NFC", word), normalize("NFD", word))}
    deeper = [word for form, word in spelt.items() if any((one / form).is_dir() for one in above)]
    return [*(one.name for one in above), *deeper]


def idx_files(place: Path, train: bool) -> list[Path]:
    """Images and labels, of packed and unpacked files those that are there."""
    return [unpacked_or_packed(place / f"{'train' if train else 't10k'}-{name}-ubyte") for name in (IMAGES, LABELS)]


def _sha256(labels: np.ndarray) -> str:
    return hashlib.sha256(labels.tobytes()).hexdigest()


def _cifar(place: Path, names: list[str], labels_key: str, meta: str) -> Listing:
    from synthood.data.files.plain_pickle import read_plain_pickle

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
    pixels = np.ascontiguousarray(images.transpose(3, 0, 1, 2))
    return _checked(Listing(pixels, np.where(labels == 10, 0, labels), DIGITS, str(path)))


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

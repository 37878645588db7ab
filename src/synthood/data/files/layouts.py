"""Where torchvision puts the files of its data sets."""

from pathlib import Path

PLACES = {
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "svhn": "",
    "mnist": "MNIST/raw",
    "fashion-mnist": "FashionMNIST/raw",
    "dtd": "dtd/dtd",
    "imagenet": "",
}
"""Below the folder that torchvision calls `root`."""


def root_of(kind: str, path: Path) -> Path:
    """The folder that holds a layout's files; `path` may be it or what torchvision calls `root`."""
    place = path / PLACES[kind]
    return path if not place.is_dir() and path.as_posix().endswith(PLACES[kind]) else place


def files_of(kind: str, path: Path, part: str) -> list[Path]:
    """Files and folders that a part is read from; of packed and unpacked ones that which is there."""
    place, train = root_of(kind, path), part == "train"
    match kind:
        case "cifar10":
            names = [f"data_batch_{i}" for i in range(1, 6)] if train else ["test_batch"]
            return [place / name for name in (*names, "batches.meta")]
        case "cifar100":
            return [place / ("train" if train else "test"), place / "meta"]
        case "svhn":
            return [place / f"{'train' if train else 'test'}_32x32.mat"]
        case "dtd":
            return [place / "labels", place / "images"]
        case "imagenet":
            return [place / "train"] if train else [place / "train", place / "val"]
        case _:
            start = "train" if train else "t10k"
            plain = [place / f"{start}-{name}-ubyte" for name in ("images-idx3", "labels-idx1")]
            packed = [file.with_name(f"{file.name}.gz") for file in plain]
            return [p if p.exists() else q if q.exists() else p for p, q in zip(plain, packed, strict=True)]

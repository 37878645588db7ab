"""Layouts that torchvision reads: the same images and labels as it gives, without its pickles' code."""

import gzip
import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision
from scipy.io import savemat

from synthood.data.files.plain_pickle import read_plain_pickle
from synthood.data.selection import Selection
from synthood.data.sources.torchvision import LAYOUTS, IdTorchvision, Torchvision
from synthood.errors import SynthoodError

RANDOM = np.random.default_rng(0)


def cifar(place: Path, images: int = 20) -> np.ndarray:
    """Five training batches and a test batch, as protocol 2 pickles; gives back the training pixels."""
    place.mkdir(parents=True)
    batches = []
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        pixels = RANDOM.integers(0, 256, (images, 3072), dtype=np.uint8)
        content = {"data": pixels, "labels": [i % 10 for i in range(images)]}
        (place / name).write_bytes(pickle.dumps(content, protocol=2))
        batches.append(pixels)
    names = {"label_names": [f"class {i}" for i in range(10)]}
    (place / "batches.meta").write_bytes(pickle.dumps(names, protocol=2))
    return np.concatenate(batches[:5]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def test_cifar10_is_read_from_its_batches(tmp_path):
    pixels = cifar(tmp_path / "cifar-10-batches-py")
    for path in (tmp_path, tmp_path / "cifar-10-batches-py"):
        made = IdTorchvision(kind="cifar10", path=str(path)).read(Selection(part="train", ood=False))
        np.testing.assert_array_equal(made.images, pixels)
        assert made.labels.tolist() == [i % 10 for i in range(20)] * 5
        assert made.classes[3] == "class 3"
    val = IdTorchvision(kind="cifar10", path=str(tmp_path), val_per_class=1).listed(Selection(part="val"))
    assert np.bincount(val.labels).tolist() == [1] * 10


def test_cifar100_has_fine_labels(tmp_path):
    place = tmp_path / "cifar-100-python"
    place.mkdir()
    pixels = RANDOM.integers(0, 256, (4, 3072), dtype=np.uint8)
    (place / "test").write_bytes(pickle.dumps({"data": pixels, "fine_labels": [9, 0, 1, 2], "coarse_labels": [0] * 4}))
    (place / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(10)]}))
    made = Torchvision(kind="cifar100", path=str(tmp_path)).listed(Selection(part="near"))
    assert made.labels.tolist() == [9, 0, 1, 2]
    np.testing.assert_array_equal(made.images[1], pixels[1].reshape(3, 32, 32).transpose(1, 2, 0))


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_a_pickle_that_asks_for_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for harm in (Harm(), {"data": Harm()}, np.array([Harm()], dtype=object)):
        Path("evil").write_bytes(pickle.dumps(harm))
        with pytest.raises(SynthoodError, match=r"^evil: not a readable pickle .*it asks for posix.mkdir"):
            read_plain_pickle(Path("evil"))
    assert not Path("harmed").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}, "2 images, but not as many numbers"),
        ({"data": np.zeros((2, 3071), np.uint8), "labels": [0, 1]}, "no array `data`"),
        ({"data": np.zeros((2, 3072), np.float32), "labels": [0, 1]}, "no array `data`"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 12]}, "labels run from 0 to 12"),
        ([1, 2], "expected a mapping, found list"),
    ],
)
def test_a_wrong_batch_is_named(tmp_path, content, message):
    cifar(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py/test_batch").write_bytes(pickle.dumps(content))
    with pytest.raises(SynthoodError, match=message) as caught:
        Torchvision(kind="cifar10", path=str(tmp_path)).listed(Selection(part="near"))
    assert "cifar-10-batches-py" in str(caught.value)


def test_a_truncated_or_missing_batch_is_named(tmp_path):
    cifar(tmp_path / "cifar-10-batches-py")
    batch = tmp_path / "cifar-10-batches-py/data_batch_2"
    content = batch.read_bytes()
    for length in (0, 1, 50, len(content) // 2, len(content) - 1):
        batch.write_bytes(content[:length])
        with pytest.raises(SynthoodError, match=r"data_batch_2: not a readable pickle"):
            IdTorchvision(kind="cifar10", path=str(tmp_path)).listed(Selection(part="train"))
    batch.unlink()
    with pytest.raises(SynthoodError, match=r"data_batch_2: not found"):
        IdTorchvision(kind="cifar10", path=str(tmp_path)).listed(Selection(part="train"))


def idx(array: np.ndarray) -> bytes:
    head = np.array([0x0800 + array.ndim, *array.shape], ">u4")
    return head.tobytes() + array.tobytes()


@pytest.mark.parametrize(("kind", "place"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_grey_in_three_channels(tmp_path, kind, place, packed):
    pixels, labels = RANDOM.integers(0, 256, (30, 28, 28), dtype=np.uint8), np.arange(30, dtype=np.uint8) % 10
    raw = tmp_path / place / "raw"
    raw.mkdir(parents=True)
    for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
        content = gzip.compress(idx(array)) if packed else idx(array)
        for start in ("train", "t10k"):
            (raw / f"{start}-{name}-ubyte{'.gz' if packed else ''}").write_bytes(content)
    made = Torchvision(kind=kind, path=str(tmp_path), split="train").read(Selection(part="far", ood=False))
    np.testing.assert_array_equal(made.images, np.repeat(pixels[..., None], 3, axis=3))
    assert made.labels.tolist() == labels.tolist()
    assert len(made.classes) == 10
    resized = Torchvision(kind=kind, path=str(tmp_path), size=32).read(Selection(part="far", ood=True))
    assert resized.images.shape == (30, 32, 32, 3)


def written(place: Path, start: str, pixels: np.ndarray, labels: np.ndarray) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{start}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
    (place / f"{start}-labels-idx1-ubyte").write_bytes(idx(labels))


def test_idx_files_may_lie_in_the_path_itself(tmp_path):
    pixels, labels = RANDOM.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20, dtype=np.uint8) % 10
    place = tmp_path / "fashion-mnist"
    for start in ("train", "t10k"):
        written(place, start, pixels, labels)
    source = IdTorchvision(kind="fashion-mnist", path=str(place), val_per_class=1)
    assert source.raw_paths(Selection(part="train")) == [
        place / "train-images-idx3-ubyte.gz",
        place / "train-labels-idx1-ubyte",
    ]
    assert source.download("train") is None
    made = source.read(Selection(part="train"))
    np.testing.assert_array_equal(made.images, np.repeat(pixels[..., None], 3, axis=3))
    assert made.classes[:2] == ["t-shirt", "trouser"]
    assert not any(of.model_validate({}).looks_like(place) for of in LAYOUTS.values())  # nobody's labels
    named = tmp_path / "root" / "FashionMNIST" / "raw"
    written(named, "train", pixels, labels)
    for path in (tmp_path / "root", named):
        assert [kind for kind, of in LAYOUTS.items() if of.model_validate({}).looks_like(path)] == ["fashion-mnist"]


def test_data_sets_in_files_of_the_same_names_are_told_apart_by_their_labels(tmp_path, monkeypatch):
    labels = {"train": np.arange(20, dtype=np.uint8) % 10, "t10k": np.arange(10, dtype=np.uint8)}
    digests = tuple(hashlib.sha256(one.tobytes()).hexdigest() for one in labels.values())
    monkeypatch.setattr(LAYOUTS["fashion-mnist"], "labels_sha256", digests)
    for start, one in labels.items():
        written(tmp_path, start, np.zeros((len(one), 28, 28), np.uint8), one)
    assert [kind for kind, of in LAYOUTS.items() if of.model_validate({}).looks_like(tmp_path)] == ["fashion-mnist"]
    for split in ("train", "test"):
        with pytest.raises(
            SynthoodError, match="the labels of fashion-mnist, not of mnist; write `kind: fashion-mnist`"
        ):
            Torchvision(kind="mnist", path=str(tmp_path), split=split).listed(Selection(part="far"))


DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_debians_fashion_mnist_is_read_where_it_is():
    assert [kind for kind, of in LAYOUTS.items() if of.model_validate({}).looks_like(DEBIAN)] == ["fashion-mnist"]
    listed = Torchvision(kind="fashion-mnist", path=str(DEBIAN)).listed(Selection(part="far"))
    assert listed.images.shape == (10_000, 28, 28, 3)
    assert [listed.classes[label] for label in listed.labels[:3]] == ["ankle boot", "pullover", "trouser"]
    assert listed.images.mean() == pytest.approx(73.15, abs=0.01)  # 0.2868 of 255
    with pytest.raises(SynthoodError, match="the labels of fashion-mnist, not of mnist"):
        Torchvision(kind="mnist", path=str(DEBIAN)).listed(Selection(part="far"))


def test_svhns_ten_is_the_digit_0(tmp_path):
    pixels, labels = RANDOM.integers(0, 256, (32, 32, 3, 5), dtype=np.uint8), np.array([[10], [1], [9], [10], [4]])
    savemat(tmp_path / "test_32x32.mat", {"X": pixels, "y": labels})
    made = Torchvision(kind="svhn", path=str(tmp_path)).listed(Selection(part="far"))
    assert made.labels.tolist() == [0, 1, 9, 0, 4]
    oracle = np.transpose(pixels, (3, 0, 1, 2))
    np.testing.assert_array_equal(made.images, oracle)
    content = (tmp_path / "test_32x32.mat").read_bytes()
    (tmp_path / "test_32x32.mat").write_bytes(content[:300])
    with pytest.raises(SynthoodError, match=r"test_32x32.mat: not a readable MATLAB file"):
        Torchvision(kind="svhn", path=str(tmp_path)).listed(Selection(part="far"))
    with pytest.raises(SynthoodError, match=r"train_32x32.mat: not found"):
        Torchvision(kind="svhn", path=str(tmp_path), split="train").listed(Selection(part="far"))


def test_dtd_is_its_first_partition(draw, tmp_path):
    for name in ("banded/banded_1", "banded/banded_2", "zigzagged/zigzagged_1", "zigzagged/zigzagged_2"):
        draw(f"dtd/dtd/images/{name}.jpg")
    labels = tmp_path / "dtd/dtd/labels"
    labels.mkdir()
    lists = {
        "train": ["zigzagged/zigzagged_1.jpg", "banded/banded_1.jpg"],
        "val": ["banded/banded_2.jpg"],
        "test": ["zigzagged/zigzagged_2.jpg"],
    }
    for name, lines in lists.items():
        (labels / f"{name}1.txt").write_text("\n".join(lines) + "\n")
    oracle = torchvision.datasets.DTD(str(tmp_path), split="train")
    made = IdTorchvision(kind="dtd", path=str(tmp_path)).listed(Selection(part="train"))
    assert [(str(file), label) for file, label in zip(made.images, made.labels.tolist(), strict=True)] == [
        (str(file), label) for file, label in zip(oracle._image_files, oracle._labels, strict=True)
    ]
    assert len(IdTorchvision(kind="dtd", path=str(tmp_path)).listed(Selection(part="val"))) == 1
    (labels / "val1.txt").write_text("banded/none.jpg")
    with pytest.raises(SynthoodError, match=r"none.jpg: not found, but named by .*val1.txt"):
        IdTorchvision(kind="dtd", path=str(tmp_path)).listed(Selection(part="val"))


def test_imagenet_is_sorted_synsets_and_val_is_shared_out(draw, tmp_path):
    for synset in ("n02", "n01"):
        draw(f"train/{synset}/1.JPEG")
        for i in range(3):
            draw(f"val/{synset}/{i}.JPEG")
    settings = IdTorchvision(kind="imagenet", path=str(tmp_path))
    assert [len(settings.listed(Selection(part=part))) for part in ("train", "val", "test")] == [2, 2, 4]
    assert settings.listed(Selection(part="val")).classes == ["n01", "n02"]


def test_a_missing_layout_is_told():
    for kind in LAYOUTS:
        with pytest.raises(SynthoodError, match=r"^none.*not found"):
            Torchvision(kind=kind, path="none").listed(Selection(part="far"))

"""Images of `.npz` files become the parts of a dataset."""

from pathlib import Path

import numpy as np
import pytest

from synthood.data.files.arrays import read_arrays, split_arrays
from synthood.data.files.settings import Arrays, IdArrays
from synthood.data.prepare import prepare
from synthood.data.settings import PartSettings
from synthood.errors import SynthoodError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


@pytest.fixture
def settings(tmp_path: Path) -> IdArrays:
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", images=IMAGES, labels=LABELS)
    files = {name: str(tmp_path / f"{name}.npz") for name in ("train", "test")}
    return IdArrays(kind="arrays", **files, classes=["a", "b", "c"], val_per_class=4)


def rows(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_val_and_test_share_out_the_test_file(settings: IdArrays) -> None:
    val, test = split_arrays(settings, "val"), split_arrays(settings, "test")
    assert np.bincount(val.labels).tolist() == [4, 4, 4]
    assert np.bincount(test.labels).tolist() == [6, 6, 6]
    assert rows(val.images) | rows(test.images) == rows(IMAGES)
    assert not rows(val.images) & rows(test.images)


def test_training_images_keep_their_order_and_labels(settings: IdArrays) -> None:
    train = split_arrays(settings, "train")
    np.testing.assert_array_equal(train.images, IMAGES)
    np.testing.assert_array_equal(train.labels, LABELS)
    fewer = split_arrays(settings.model_copy(update={"train_per_class": 2}), "train")
    assert np.bincount(fewer.labels).tolist() == [2, 2, 2]
    assert split_arrays(settings.model_copy(update={"train_per_class": 10}), "train").images.shape == IMAGES.shape


def test_an_ood_set_has_no_labels_and_is_resized(tmp_path: Path) -> None:
    constant = np.full((2, 64, 64, 3), 77, np.uint8)
    np.savez(tmp_path / "ood.npz", images=constant, labels=[0, 1])
    source = Arrays(kind="arrays", path=str(tmp_path / "ood.npz"), size=32)
    made = prepare(PartSettings(part="far", ood=True, source=source))
    np.testing.assert_array_equal(made.images, np.full((2, 32, 32, 3), 77))
    assert made.labels.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES.astype(float), "labels": LABELS}, "expected images uint8"),
        ({"images": IMAGES.astype(np.uint16), "labels": LABELS}, "expected images uint8"),
        ({"images": IMAGES[..., :2], "labels": LABELS}, "expected images uint8"),
        ({"images": IMAGES, "labels": LABELS[:5]}, "30 images and labels"),
        ({"pictures": IMAGES}, "not an .npz file with plain arrays"),
        ({"images": np.array([{}], dtype=object)}, "not an .npz file with plain arrays"),
        ({"images": np.zeros((1, 80, 80, 3), np.uint8)}, "set `size` to 64 or less"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(SynthoodError, match=message) as caught:
        read_arrays(tmp_path / "wrong.npz", None)
    assert "wrong.npz" in str(caught.value)


def test_npy_files_are_read_with_the_labels_beside_them(tmp_path: Path) -> None:
    np.save(tmp_path / "train_images.npy", IMAGES)
    read = read_arrays(tmp_path / "train_images.npy", None)
    np.testing.assert_array_equal(read.images, IMAGES)
    assert read.labels is None
    np.save(tmp_path / "train_labels.npy", LABELS)
    labels = read_arrays(tmp_path / "train_images.npy", None).labels
    assert labels is not None
    assert labels.tolist() == LABELS.tolist()
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object))
    with pytest.raises(SynthoodError, match=r"pickled.npy: not an"):
        read_arrays(tmp_path / "pickled.npy", None)


def test_a_truncated_or_missing_file_is_named(settings: IdArrays) -> None:
    path = Path(settings.train)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SynthoodError, match="not an"):
        read_arrays(path, None)
    with pytest.raises(SynthoodError, match="not found"):
        read_arrays(path.with_name("absent.npz"), None)


def test_classes_and_counts_must_fit(settings: IdArrays) -> None:
    with pytest.raises(SynthoodError, match="the configuration names 2 classes"):
        split_arrays(settings.model_copy(update={"classes": ["a", "b"]}), "train")
    with pytest.raises(SynthoodError, match="10 images of a, 10 asked for"):
        split_arrays(settings.model_copy(update={"val_per_class": 10}), "test")

"""Images of `.npz` files become the parts of a dataset."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthood.data.part_settings import PartSettings
from synthood.data.prepare import prepare
from synthood.data.selection import Selection
from synthood.data.sources.arrays import Arrays, IdArrays, read_arrays
from synthood.data.sources.folders import Folders
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
    val, test = settings.read(Selection(part="val")), settings.read(Selection(part="test"))
    assert np.bincount(val.labels).tolist() == [4, 4, 4]
    assert np.bincount(test.labels).tolist() == [6, 6, 6]
    assert rows(val.images) | rows(test.images) == rows(IMAGES)
    assert not rows(val.images) & rows(test.images)


def test_training_images_keep_their_order_and_labels(settings: IdArrays) -> None:
    train = settings.read(Selection(part="train"))
    np.testing.assert_array_equal(train.images, IMAGES)
    np.testing.assert_array_equal(train.labels, LABELS)
    fewer = settings.model_copy(update={"train_per_class": 2}).read(Selection(part="train"))
    assert np.bincount(fewer.labels).tolist() == [2, 2, 2]
    assert (
        settings.model_copy(update={"train_per_class": 10}).read(Selection(part="train")).images.shape == IMAGES.shape
    )


def test_an_ood_set_has_no_labels_and_is_resized(tmp_path: Path) -> None:
    constant = np.full((2, 64, 64, 3), 77, np.uint8)
    np.savez(tmp_path / "ood.npz", images=constant, labels=[0, 1])
    source = Arrays(kind="arrays", path=str(tmp_path / "ood.npz"), size=32)
    made = prepare(PartSettings(part="far", ood=True, source=source))
    np.testing.assert_array_equal(made.images, np.full((2, 32, 32, 3), 77))
    assert made.labels.tolist() == [-1, -1]


def test_an_ood_set_of_some_labels(tmp_path: Path) -> None:
    path = str(tmp_path / "ood.npz")
    np.savez(path, images=IMAGES, labels=LABELS)
    only, but = Arrays(path=path, labels=[1]), Arrays(path=path, except_labels=[1])
    far = Selection(part="far")
    np.testing.assert_array_equal(only.read(far).images, IMAGES[LABELS == 1])
    np.testing.assert_array_equal(but.read(far).images, IMAGES[LABELS != 1])
    assert not only.claims("far")[0].meets(but.claims("far")[0])
    assert only.claims("far")[0].meets(Arrays(path=path).claims("far")[0])
    with pytest.raises(SynthoodError, match="no image has label 7"):
        Arrays(path=path, labels=[7]).read(far)
    np.savez(path, images=IMAGES)
    with pytest.raises(SynthoodError, match="no labels, by which"):
        only.read(far)


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
        settings.model_copy(update={"classes": ["a", "b"]}).read(Selection(part="train"))
    with pytest.raises(SynthoodError, match="10 images of a, 10 asked for"):
        settings.model_copy(update={"val_per_class": 10}).read(Selection(part="test"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((LABELS + 0.7).tolist(), r"label 0.7 of image 0 is not a whole number"),
        ([np.nan, *LABELS[1:].tolist()], "label nan of image 0"),
        ([*LABELS[:-1].tolist(), np.inf], "label inf of image 29"),
        ((LABELS > 0).tolist(), "labels of type bool"),
        ([str(label) for label in LABELS], "labels of type <U1"),
        (np.array([2**63 + 1, *LABELS[1:]], np.uint64), "label 9223372036854775809 of image 0"),
        ((LABELS - 1).tolist(), r"labels \[-1, 0, 1\]"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_labels_that_are_no_classes_are_refused(
    settings: IdArrays, suffix: str, labels: list[float], message: str
) -> None:
    path = Path(settings.train)
    if suffix == ".npz":
        np.savez(path, images=IMAGES, labels=labels)
    else:
        path = path.with_name("my_images.npy")
        np.save(path, IMAGES)
        np.save(path.with_name("my_labels.npy"), labels)
    with pytest.raises(SynthoodError, match=message):
        settings.model_copy(update={"train": str(path)}).read(Selection(part="train"))
    read_arrays(path, None, labelled=False)  # of an OOD set they are not looked at


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, np.int16, np.uint64])
def test_whole_labels_of_any_type_are_taken(settings: IdArrays, kind: type) -> None:
    np.savez(settings.train, images=IMAGES, labels=LABELS.astype(kind))
    assert settings.read(Selection(part="train")).labels.tolist() == LABELS.tolist()


def test_arrays_that_are_not_square_are_cut_as_files_are(tmp_path: Path) -> None:
    images = RANDOM.integers(0, 256, (5, 24, 40, 3), dtype=np.uint8)
    np.savez(tmp_path / "wide.npz", images=images)
    (tmp_path / "files").mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "files" / f"{index}.png")
    for size in (24, 16):
        own = prepare(
            PartSettings(part="far", source=Arrays(kind="arrays", path=str(tmp_path / "wide.npz"), size=size))
        )
        files = Folders(kind="folders", path=str(tmp_path / "files"), size=size)
        np.testing.assert_array_equal(own.images, prepare(PartSettings(part="far", source=files)).images)
        assert own.notes == [f"images of 40x24 px became {size}x{size}: resized, and the centre cut"]
    np.testing.assert_array_equal(read_arrays(tmp_path / "wide.npz", 24).images, images[:, :, 8:32])


@pytest.mark.parametrize("shape", [(30, 8, 8), (30, 8, 8, 1)])
def test_grey_arrays_become_rgb(settings: IdArrays, shape: tuple[int, ...]) -> None:
    grey = IMAGES[..., 0].reshape(shape)
    np.savez(settings.train, images=grey, labels=LABELS)
    made = settings.read(Selection(part="train"))
    np.testing.assert_array_equal(made.images, np.stack([IMAGES[..., 0]] * 3, axis=3))
    assert made.notes == ["30 grey images became RGB"]

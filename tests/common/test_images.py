"""Image sets: what they check, and what a damaged file ends in."""

import hashlib
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from synthood.common.images import ImageSet, concatenate, open_set, pixel_sha256, read_images, write_images
from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError

PIXELS = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
LABELS = np.array([1, 0])
CLASSES = ["zero", "one"]


def a_set(**more):
    return ImageSet(**({"images": PIXELS, "labels": LABELS, "classes": CLASSES} | more))


def content():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        write_images(path, a_set(columns={"block": np.array([0, 4])}))
        return path.read_bytes()


CONTENT = content()


def test_a_set_comes_back_with_a_digest_for_every_image(tmp_path):
    path = tmp_path / "a.safetensors"
    write_images(path, a_set(columns={"block": np.array([0, 4])}))
    back = read_images(path)
    assert back.images.tobytes() == PIXELS.tobytes()
    assert back.labels.tolist() == [1, 0]
    assert back.classes == CLASSES
    assert back.columns.keys() == {"block", "pixel_sha256"}
    assert back.columns["block"].tolist() == [0, 4]
    assert bytes(back.columns["pixel_sha256"][1]) == hashlib.sha256(PIXELS[1].tobytes()).digest()
    assert len(back) == 2


def test_a_digest_is_of_the_pixels_whatever_their_layout():
    turned = np.asfortranarray(PIXELS)
    assert (pixel_sha256(turned) == pixel_sha256(PIXELS)).all()
    assert pixel_sha256(PIXELS).shape == (2, 32)
    assert bytes(pixel_sha256(PIXELS[::-1])[0]) == hashlib.sha256(PIXELS[1].tobytes()).digest()


def test_ood_images_have_no_classes():
    images = ImageSet.out_of_distribution(PIXELS)
    assert images.labels.tolist() == [-1, -1]
    assert images.labels.dtype == np.int64
    assert images.check("x") is images
    assert images.classes == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"images": PIXELS.astype(np.float32)},
            "expected uint8 images [N,H,W,3] with N >= 1, got float32 (2, 4, 4, 3)",
        ),
        ({"images": PIXELS[..., 0]}, "expected uint8 images [N,H,W,3] with N >= 1, got uint8 (2, 4, 4)"),
        ({"images": PIXELS[..., :2]}, "expected uint8 images [N,H,W,3] with N >= 1, got uint8 (2, 4, 4, 2)"),
        ({"images": PIXELS[:0]}, "expected uint8 images [N,H,W,3] with N >= 1, got uint8 (0, 4, 4, 3)"),
        ({"labels": LABELS.astype(np.int32)}, "expected int64 labels [2], got int32 (2,)"),
        ({"labels": LABELS.astype(float)}, "expected int64 labels [2], got float64 (2,)"),
        ({"labels": LABELS[:1]}, "expected int64 labels [2], got int64 (1,)"),
        ({"labels": LABELS[:, None]}, "expected int64 labels [2], got int64 (2, 1)"),
        ({"labels": np.array([0, 2])}, "labels run from 0 to 2, but there are 2 classes"),
        ({"labels": np.array([-2, 1])}, "labels run from -2 to 1, but there are 2 classes"),
        ({"labels": np.array([0, -1]), "classes": []}, "labels run from -1 to 0, but there are 0 classes"),
    ],
)
def test_what_does_not_fit_together_is_told_and_not_written(tmp_path, more, message):
    path = tmp_path / "a.safetensors"
    expected = f"^{re.escape(f'{path}: {message}')}$"
    with pytest.raises(SynthoodError, match=expected):
        a_set(**more).check(path)
    with pytest.raises(SynthoodError, match=expected):
        write_images(path, a_set(**more))
    assert not path.exists()
    arrays = {"images": PIXELS, "labels": LABELS} | {key: more[key] for key in more if key != "classes"}
    write_tensors(path, arrays, {"classes": more.get("classes", CLASSES)})
    with pytest.raises(SynthoodError, match=f"{expected}|images holds F32, not bytes"):
        read_images(path)


def test_columns_are_as_long_as_the_images():
    with pytest.raises(SynthoodError):
        a_set(columns={"block": np.zeros(7)}).check("x")


def test_a_file_of_other_tensors_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"logits": LABELS, "images": PIXELS}, {})
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: not a file .*\\(it holds images, logits\\)$"):
        read_images(path)
    save_file({"images": PIXELS, "labels": LABELS}, path)
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: damaged, or not written by this pipeline"):
        read_images(path)


@pytest.mark.parametrize("header", [{}, {"classes": 3}, [], None])
def test_a_header_without_classes_is_named(tmp_path, header):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"images": PIXELS, "labels": LABELS}, header)
    with pytest.raises(SynthoodError, match=re.escape(str(path))):
        read_images(path)


def test_sets_are_joined_in_order():
    other = ImageSet(255 - PIXELS[:1], LABELS[:1], CLASSES)
    joined = concatenate([a_set(), other])
    assert joined.images.tobytes() == PIXELS.tobytes() + (255 - PIXELS[:1]).tobytes()
    assert joined.labels.tolist() == [1, 0, 1]
    assert joined.classes == CLASSES


def test_sets_of_other_classes_are_not_joined():
    with pytest.raises(
        SynthoodError, match=r"different classes cannot be joined: \[\['zero', 'one'\], \['one', 'zero'\]"
    ):
        concatenate([a_set(), a_set(classes=CLASSES[::-1])])


def outcome(data):
    """The set that a file of these bytes holds, or None where it is refused with its name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        path.write_bytes(data)
        try:
            return read_images(path)
        except SynthoodError as error:
            told = str(error)
        assert told.startswith(f"{path}: ")
        return None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, len(CONTENT) - 1))
@example(len(CONTENT) // 2)
def test_any_truncation_is_refused(length):
    assert outcome(CONTENT[:length]) is None


HEADER_LENGTH = 8 + int.from_bytes(CONTENT[:8], "little")


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(HEADER_LENGTH, len(CONTENT) - 1), st.integers(1, 255)), min_size=1, max_size=5),
)
def test_flipped_bytes_of_the_tensors_give_a_valid_set_or_are_refused(flips):
    check_flips(flips)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(1, 255)), min_size=1, max_size=5))
@example([(CONTENT.index(b'{\\"classes'), 1)])
@example([(CONTENT.index(b"classes"), 1)])
def test_flipped_bytes_give_a_valid_set_or_are_refused(flips):
    check_flips(flips)


def check_flips(flips):
    data = bytearray(CONTENT)
    for position, change in flips:
        data[position] ^= change
    found = outcome(bytes(data))
    if found is not None:
        assert found.images.dtype == np.uint8
        assert found.images.ndim == 4
        assert found.images.size == PIXELS.size
        assert found.labels.shape == (len(found),)
        assert -1 <= found.labels.min() <= found.labels.max() < max(len(found.classes), 1)


def test_an_open_set_is_the_same_without_being_read(tmp_path):
    path = tmp_path / "a.safetensors"
    write_images(path, a_set(columns={"block": np.array([0, 4])}))
    opened = open_set(path)
    assert isinstance(opened.images, np.memmap)
    assert opened.images.tobytes() == PIXELS.tobytes()
    assert (opened.labels.tolist(), opened.classes, len(opened)) == ([1, 0], CLASSES, 2)
    assert opened.columns.keys() == {"block", "pixel_sha256"}
    opened.images[0] = 7  # in memory alone
    assert read_images(path).images.tobytes() == PIXELS.tobytes()


def test_an_open_set_is_checked(tmp_path):
    path = tmp_path / "a.safetensors"
    for arrays, header, message in (
        ({"images": PIXELS, "labels": np.array([1, 2])}, {"classes": CLASSES}, "labels run from 1 to 2"),
        ({"images": PIXELS, "labels": LABELS}, {}, "it names no classes"),
        ({"images": PIXELS.astype(np.float32), "labels": LABELS}, {"classes": CLASSES}, "images holds F32, not bytes"),
        ({"labels": LABELS}, {"classes": CLASSES}, "images holds nothing, not bytes"),
        ({"images": PIXELS}, {"classes": CLASSES}, "not a file that this stage reads"),
    ):
        write_tensors(path, arrays, header)
        with pytest.raises(SynthoodError, match=message):
            open_set(path)

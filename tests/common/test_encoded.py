"""Encoded images: the same pixels as went in, and nothing but an error from a damaged file."""

import hashlib
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.common import images as image_sets
from synthood.common.encoded import is_encoded, open_encoded, write_encoded
from synthood.common.images import ImageSet, read_images, write_images
from synthood.errors import SynthoodError

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 70, 80, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 1, 0, 2, 2, 0])
HEADER = {"classes": ["a", "b", "c"], "notes": ["one was skipped"]}


def written(path: Path, threads: int = 2) -> bytes:
    write_encoded(path, iter(PIXELS), threads, lambda: (LABELS, HEADER))
    return path.read_bytes()


with tempfile.TemporaryDirectory() as folder:
    CONTENT = written(Path(folder) / "a.safetensors")


def test_pixels_labels_and_digests_come_back(tmp_path):
    path = tmp_path / "a.safetensors"
    written(path)
    assert is_encoded(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.safetensors"]
    lazy, arrays, header = open_encoded(path)
    assert (lazy.shape, lazy.dtype, len(lazy)) == (PIXELS.shape, np.uint8, 7)
    np.testing.assert_array_equal(lazy[:], PIXELS)
    np.testing.assert_array_equal(lazy[3], PIXELS[3])
    np.testing.assert_array_equal(lazy[-1], PIXELS[-1])
    np.testing.assert_array_equal(lazy[1:6:2], PIXELS[1:6:2])
    np.testing.assert_array_equal(lazy[np.array([5, 0, 5])], PIXELS[[5, 0, 5]])
    np.testing.assert_array_equal(lazy[LABELS == 2], PIXELS[LABELS == 2])
    assert bytes(arrays["pixel_sha256"][4]) == hashlib.sha256(PIXELS[4].tobytes()).digest()
    assert header == {**HEADER, "side": [70, 80]}
    for index in (7, -8):
        with pytest.raises(IndexError):
            lazy[index]


def test_it_is_read_as_an_image_set(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    written(path)
    back = read_images(path)
    np.testing.assert_array_equal(back.images, PIXELS)
    assert (back.labels.tolist(), back.classes, back.notes) == (LABELS.tolist(), HEADER["classes"], HEADER["notes"])
    monkeypatch.setattr(image_sets, "MOST_DECODED", PIXELS.size - 1)
    with pytest.raises(SynthoodError, match=r"a.safetensors: 7 images take .* take fewer, or a smaller `size`"):
        read_images(path)


def test_the_bytes_do_not_depend_on_threads(tmp_path):
    assert written(tmp_path / "1", 1) == written(tmp_path / "3", 3) == CONTENT


def test_mixed_sizes_and_numbers_of_labels_are_refused_and_leave_nothing(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(SynthoodError, match=r"2 images of sizes \[\(70, 70\), \(70, 80\)\] for 2 labels"):
        write_encoded(path, iter([PIXELS[0], PIXELS[0, :, :70]]), 1, lambda: (LABELS[:2], HEADER))
    with pytest.raises(SynthoodError, match=r"7 images of sizes \[\(70, 80\)\] for 6 labels"):
        write_encoded(path, iter(PIXELS), 1, lambda: (LABELS[:6], HEADER))
    assert not list(tmp_path.iterdir())


def test_other_files_are_not_encoded(tmp_path):
    write_images(tmp_path / "raw", ImageSet.out_of_distribution(PIXELS))
    (tmp_path / "text").write_text("no")
    for name in ("raw", "text", "absent"):
        assert not is_encoded(tmp_path / name)
        with pytest.raises(SynthoodError, match=re.escape(str(tmp_path / name))):
            open_encoded(tmp_path / name)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_files_give_a_valid_set_or_are_refused(data):
    damaged = bytearray(CONTENT)
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.one_of(st.integers(0, 800), st.integers(0, len(damaged) - 1)))
        damaged[where] ^= data.draw(st.integers(1, 255))
    damaged = damaged[: data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "a.safetensors"
        path.write_bytes(damaged)
        try:
            found = read_images(path)
        except SynthoodError:
            return
        assert found.images.shape[3] == 3
        assert found.labels.max() < max(1, len(found.classes))

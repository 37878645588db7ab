"""IDX files are read as they were written, or refused by name."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from synthood.data.files.idx import is_idx, labels_of, read_idx
from synthood.data.selection import Selection
from synthood.data.sources.arrays import Arrays, IdArrays
from synthood.errors import SynthoodError


def idx(array: np.ndarray) -> bytes:
    """An array uint8 as an IDX file, by its definition: two zeros, type, dimensions, sides, bytes."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return head + array.tobytes()


@settings(max_examples=60, deadline=None)
@given(array=arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)), packed=st.booleans())
def test_what_was_written_is_read(array, packed):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x-ubyte.gz" if packed else "x-ubyte")
        file.write_bytes(gzip.compress(idx(array), mtime=0) if packed else idx(array))
        for name in ("x-ubyte", "x-ubyte.gz"):  # either name finds the one that is there
            read = read_idx(Path(folder, name), array.ndim)
            assert read.dtype == np.uint8
            np.testing.assert_array_equal(read, array, strict=True)


CONTENT = idx(np.zeros((3, 28, 28), np.uint8))


@pytest.mark.parametrize(
    ("name", "damaged", "what"),
    [
        ("x", CONTENT[:-1], r"truncated or damaged \(2351 bytes for 3x28x28\); get the file again"),
        ("x", CONTENT + b"0", "truncated or damaged"),
        ("x", CONTENT[:9], "not an IDX file of bytes in 3 dimensions"),
        ("x", b"", "not an IDX file"),
        ("x", bytes(20), "not an IDX file"),
        ("x", idx(np.zeros((3, 28), np.uint8)), "not an IDX file of bytes in 3 dimensions"),
        ("x", b"\0\0\x0d\3" + CONTENT[4:], "not an IDX file of bytes"),  # of floats
        ("x.gz", gzip.compress(CONTENT, mtime=0)[:-12], "truncated or damaged"),
        ("x.gz", gzip.compress(CONTENT, mtime=0)[:-1] + b"?", "truncated or damaged"),  # the length at its end
        ("x.gz", CONTENT, "truncated or damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, damaged, what):
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(SynthoodError, match=f"^{tmp_path}/{name}: {what}"):
        read_idx(tmp_path / "x", 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SynthoodError, match="x: not found; give the folder that holds the IDX files"):
        read_idx(tmp_path / "x", 3)


def test_labels_are_found_by_the_name_of_the_images(tmp_path):
    (tmp_path / "emnist-digits-train-labels-idx1-ubyte.gz").touch()
    images = tmp_path / "emnist-digits-train-images-idx3-ubyte"
    assert labels_of(images) == tmp_path / "emnist-digits-train-labels-idx1-ubyte.gz"
    assert labels_of(tmp_path / "mine-ubyte") is None
    assert is_idx(images)
    assert not is_idx(tmp_path / "images.npy")


def test_any_data_set_in_idx_files_is_read_as_arrays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    labels = np.arange(12, dtype=np.uint8) % 3
    for part in ("train", "test"):
        images = tmp_path / f"emnist-letters-{part}-images-idx3-ubyte.gz"
        images.write_bytes(gzip.compress(idx(pixels), mtime=0))
        (tmp_path / f"emnist-letters-{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    files = {part: str(tmp_path / f"emnist-letters-{part}-images-idx3-ubyte") for part in ("train", "test")}
    source = IdArrays(kind="arrays", **files, classes=["a", "b", "c"], val_per_class=1)
    train = source.read(Selection(part="train"))
    np.testing.assert_array_equal(train.images, np.repeat(pixels[..., None], 3, axis=3))
    assert train.labels.tolist() == labels.tolist()
    assert train.notes == ["12 grey images became RGB"]
    assert [file.name for file in source.raw_paths(Selection(part="train"))] == [
        "emnist-letters-train-images-idx3-ubyte.gz",
        "emnist-letters-train-labels-idx1-ubyte",
    ]
    with pytest.raises(SynthoodError, match=r"labels \[0, 1, 2\], but the configuration names 2 classes"):
        source.model_copy(update={"classes": ["a", "b"]}).read(Selection(part="train"))
    ood = Arrays(kind="arrays", path=files["test"], size=32).read(Selection(part="far", ood=True))
    assert ood.images.shape == (12, 32, 32, 3)

"""Tensors in safetensors files."""

import itertools
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from synthood.common.artefact import write_provenance
from synthood.common.tensors import read_tensors, write_rows, write_tensors
from synthood.errors import SynthoodError

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([3, -1], np.int64),
    "u": np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::2, 1],  # not contiguous
}
HEADER = {"z": [1, "ä"], "a": {"k": None}}


@pytest.fixture
def path(tmp_path):
    write_tensors(tmp_path / "t.safetensors", ARRAYS, HEADER)
    return tmp_path / "t.safetensors"


def test_arrays_and_header_come_back(path):
    arrays, header = read_tensors(path)
    assert header == HEADER
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_named_arrays_alone_come_back(path):
    arrays, header = read_tensors(path, "u", "a")
    assert list(arrays) == ["u", "a"]
    assert header == HEADER


def test_the_same_content_has_the_same_bytes(path, tmp_path):
    other = tmp_path / "other.safetensors"
    write_tensors(other, dict(reversed(ARRAYS.items())), dict(reversed(HEADER.items())))
    assert other.read_bytes() == path.read_bytes()
    write_tensors(other, ARRAYS | {"a": np.array([3, -2], np.int64)}, HEADER)
    assert other.read_bytes() != path.read_bytes()


@pytest.mark.parametrize("keep", [0, 5, 0.5, -1])
def test_a_truncated_file_is_named(path, keep):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(
        SynthoodError, match=f"^{re.escape(str(path))}: (damaged, or not written|not a readable) .*delete it"
    ):
        read_tensors(path)


def test_a_file_that_is_not_what_was_recorded_is_named(path):
    write_provenance(path, path, {})
    assert read_tensors(path)[1] == HEADER
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: truncated or changed"):
        read_tensors(path)


def test_a_text_file_is_named(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("these are no tensors, though there are enough words for a header\n" * 4)
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: not a readable safetensors file"):
        read_tensors(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(tmp_path / 't'))}: not found"):
        read_tensors(tmp_path / "t")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_another_programs_safetensors_file_is_named(tmp_path, metadata):
    path = tmp_path / "t.safetensors"
    save_file({"weight": np.zeros(2), "bias": np.zeros(1)}, path, metadata=metadata)
    expected = re.escape(f"{path}: damaged, or not written by this pipeline (no identity in it); delete it and run")
    with pytest.raises(SynthoodError, match=f"^{expected}"):
        read_tensors(path)


def test_a_file_without_the_named_array_is_told(path):
    expected = re.escape(f"{path}: not a file that this stage reads (it holds a, b, u)")
    with pytest.raises(SynthoodError, match=f"^{expected}$"):
        read_tensors(path, "a", "logits")


def test_a_header_that_is_not_json_is_named(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"{\\"a', b'"|\\"a'))
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: not a readable safetensors file"):
        read_tensors(path)


def test_a_type_that_numpy_lacks_is_named(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"F32"', b'"C64"').replace(b'"U8"', b'"BF16"', 1))
    with pytest.raises(SynthoodError, match=re.escape(str(path))):
        read_tensors(path)


def test_a_folder_is_named(tmp_path):
    with pytest.raises(SynthoodError, match=re.escape(str(tmp_path))):
        read_tensors(tmp_path)


ROWS = {
    "a": np.arange(6, dtype=np.float32).reshape(3, 2),
    "n": np.array([3, -1, 7], np.int64),
    "u": np.arange(12, dtype=np.uint8).reshape(3, 2, 2)[:, :, 1],
    "h": np.array([0.5, 1.5, 2.5], np.float16),
}


def pieces(*sizes):
    ends = np.cumsum([0, *sizes])
    return [{name: array[a:b] for name, array in ROWS.items()} for a, b in itertools.pairwise(ends)]


@pytest.mark.parametrize("sizes", [(3,), (1, 2), (1, 1, 1), (2, 0, 1)])
def test_rows_come_back_in_whatever_pieces_they_came(tmp_path, sizes):
    path, other = tmp_path / "t.safetensors", tmp_path / "other.safetensors"
    write_rows(path, 3, pieces(*sizes), HEADER)
    arrays, header = read_tensors(path)
    assert header == HEADER
    assert arrays.keys() == ROWS.keys()
    for name, array in ROWS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    write_rows(other, 3, iter(pieces(3)), HEADER)
    assert other.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("count", [2, 4])
def test_rows_that_do_not_add_up_are_told(tmp_path, count):
    with pytest.raises(ValueError, match=f"3 rows came, {count} were announced"):
        write_rows(tmp_path / "t", count, pieces(1, 2), HEADER)


def test_pieces_of_other_arrays_are_told(tmp_path):
    first, second = pieces(1, 2)
    del second["u"]
    with pytest.raises(ValueError, match=r"rows of \['a', 'h', 'n'\] after those of \['a', 'h', 'n', 'u'\]"):
        write_rows(tmp_path / "t", 3, [first, second], HEADER)
    uneven = first | {"n": ROWS["n"]}
    with pytest.raises(ValueError, match="rows of"):
        write_rows(tmp_path / "t", 3, [uneven], HEADER)

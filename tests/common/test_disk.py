"""What libraries raise where a disk cannot be written becomes one sentence, whichever library it is."""

import errno
import os
import re
import resource
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from synthood.common.artefact import replacing
from synthood.common.disk import is_full, unwritable, wrong_with_disk
from synthood.common.iterate import ResumeFile
from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError

NUMBERS = torch.arange(40_000, dtype=torch.float32)
PIXELS = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)


def drawn(path):
    figure = plt.figure()
    figure.figimage(PIXELS)
    figure.savefig(path, format="png")
    plt.close(figure)


def in_a_folder(path):
    path.mkdir()
    save_file({"a": NUMBERS}, path / "a.safetensors")


WRITERS = {
    "safetensors of torch": lambda path: save_file({"a": NUMBERS}, path),
    "a folder": in_a_folder,
    "our tensors": lambda path: write_tensors(path, {"a": NUMBERS.numpy()}, {}),
    "torch": lambda path: torch.save({"a": NUMBERS}, path),
    "parquet": lambda path: pd.DataFrame({"a": NUMBERS.numpy()}).to_parquet(path),
    "csv": lambda path: pd.DataFrame({"a": NUMBERS.numpy()}).to_csv(path),
    "text": lambda path: path.write_text("a" * 90_000),
    "a picture": drawn,
}


@contextmanager
def files_of_at_most(size):
    """No file grows further, which programs see as they see a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WRITERS)
def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path, name):
    path = tmp_path / "new" / "made"
    with pytest.raises(SynthoodError) as caught, files_of_at_most(4096), replacing(path) as temporary:
        WRITERS[name](temporary)
    told = str(caught.value)
    assert re.fullmatch(re.escape(f"{path}: not written, ") + r"[^\n]+, then run the same command again", told), told
    assert "raise the limit" in told or name == "torch"
    assert list(path.parent.iterdir()) == []


def test_a_state_that_cannot_be_saved_leaves_the_one_before(tmp_path):
    resume = ResumeFile(tmp_path, "f")
    resume.save("net", {"step": 1, "state": {}, "history": []})
    limit = files_of_at_most(4096)
    told = r"net\.pt: not written, it is larger than its disk or `ulimit -f` allows; raise the limit, then run"
    with pytest.raises(SynthoodError, match=told), limit:
        resume.save("net", {"step": 2, "state": {"a": NUMBERS}, "history": []})
    assert resume.load("net")["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["net.pt"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left on its disk; free some"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no space is left on its disk; free some"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the quota of its disk is used up; "),
        (OSError(errno.EROFS, "Read-only file system"), "its disk is read-only; make it writable, "),
    ],
)
def test_each_cause_has_its_remedy(tmp_path, error, told):
    found = str(unwritable(tmp_path / "a", error))
    assert found.startswith(f"{tmp_path / 'a'}: not written, {told}")
    assert found.endswith(", then run the same command again")


def test_the_first_cause_of_a_chain_is_told_and_the_file_that_it_names(tmp_path):
    cause = OSError(errno.ENOSPC, "No space left on device", "/cache/weights")
    error = RuntimeError("download failed")
    error.__cause__ = cause
    assert str(unwritable(tmp_path / "a", error)).startswith("/cache/weights: not written, no space is left")


def test_other_errors_are_not_taken_for_a_disk_s(tmp_path):
    for error in (
        ValueError("28"),
        OSError(errno.ENOENT, "No such file", "x"),
        PermissionError(errno.EACCES, "Permission denied", "/elsewhere/weights"),
        SynthoodError("wrong"),
    ):
        assert unwritable(tmp_path / "a", error) is None
    assert wrong_with_disk("exit status 28") is None
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a"):
        raise ZeroDivisionError


@pytest.mark.parametrize("named", ["a", ".a.lock", ".a.12345678.tmp", ".a.12345678.tmp/part", "."])
def test_a_place_that_this_user_may_not_write(tmp_path, named):
    folder = tmp_path / "out"
    error = PermissionError(errno.EACCES, "Permission denied", str(folder / named))
    assert "this user may not write there; change the rights of the folder" in str(unwritable(folder / "a", error))
    above = PermissionError(errno.EACCES, "Permission denied", str(tmp_path))
    assert str(unwritable(folder / "a", above)).startswith(f"{tmp_path}: not written, this user may not write there; ")
    beside = PermissionError(errno.EACCES, "Permission denied", str(folder / "b"))
    assert unwritable(folder / "a", beside) is None


def test_a_disk_is_full_where_next_to_nothing_is_left(tmp_path, monkeypatch):
    assert not is_full(tmp_path / "not" / "there")
    facts = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*facts[:4], 3, *facts[5:])))
    assert is_full(tmp_path / "not" / "there")

"""Artefacts: whole or not at all, and verified."""

import hashlib
import json
import re

import pytest

from synthood.common.artefact import (
    provenance_path,
    read_provenance,
    replacing,
    verify,
    write_provenance,
)
from synthood.common.identity import sha256, visible_files
from synthood.errors import SynthoodError


class ExpectedError(Exception):
    pass


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def filled(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def fail_while(path, writing, error):
    with replacing(path) as temporary:
        writing(temporary)
        assert temporary.exists()
        raise error


def test_a_new_file_appears_with_its_folders_only_at_the_end(tmp_path):
    path = tmp_path / "deep" / "er" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".a.txt.")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["a.txt"]


def test_an_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ExpectedError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, "old"])
def test_an_exception_leaves_no_half_file(tmp_path, error, before):
    path = tmp_path / "a.txt"
    if before:
        path.write_text(before)
    with pytest.raises(error):
        fail_while(path, lambda temporary: temporary.write_text("half"), error)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({"a.txt": "old"} if before else {})


@pytest.mark.parametrize("before", [None, "old"])
def test_an_exception_leaves_no_half_folder(tmp_path, before):
    path = tmp_path / "a"
    if before:
        filled(path, one=before)
    with pytest.raises(ExpectedError):
        fail_while(path, lambda temporary: filled(temporary / "sub", half="half"), ExpectedError)
    assert names(tmp_path) == (["a"] if before else [])
    if before:
        assert {p.name: p.read_text() for p in path.iterdir()} == {"one": "old"}


def test_a_folder_is_replaced_with_all_its_files(tmp_path):
    path = filled(tmp_path / "a", one="old", gone="old")
    with replacing(path) as temporary:
        filled(temporary, one="new", two="new")
        assert (path / "gone").exists()
    assert {p.name: p.read_text() for p in path.iterdir()} == {"one": "new", "two": "new"}
    assert names(tmp_path) == ["a"]


def test_nothing_written_is_an_error_and_leaves_an_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_nothing_written_leaves_an_old_folder(tmp_path):
    path = filled(tmp_path / "a", one="old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert names(tmp_path) == ["a"]
    assert (path / "one").read_text() == "old"


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path, monkeypatch):
    path = tmp_path / "a"
    content = bytes(range(256)) * 5
    path.write_bytes(content)
    assert sha256(path) == hashlib.sha256(content).hexdigest()
    monkeypatch.setattr("synthood.common.identity.CHUNK", 7)
    assert sha256(path) == hashlib.sha256(content).hexdigest()


def test_the_digest_of_a_folder_is_that_of_its_visible_names_and_bytes(tmp_path):
    one = filled(tmp_path / "one", a="x", b="y")
    filled(one / "sub", c="z")
    two = filled(tmp_path / "two" / "sub", c="z").parent
    filled(two, b="y", a="x")
    assert sha256(one) == sha256(two)
    (one / ".snakemake_timestamp").write_text("now")
    (one / "empty").mkdir()
    assert sha256(one) == sha256(two)
    assert [p.relative_to(one).as_posix() for p in visible_files(one)] == ["a", "b", "sub/c"]
    before = sha256(two)
    (two / "sub" / "c").write_text("Z")
    changed = sha256(two)
    (two / "sub" / "c").write_text("z")
    (two / "sub" / "c").rename(two / "sub" / "d")
    renamed = sha256(two)
    (two / "sub" / "d").rename(two / "c")
    moved = sha256(two)
    assert len({before, changed, renamed, moved}) == 4


def recorded(path, **facts):
    write_provenance(path, path, facts)
    return path


def test_provenance_has_the_digest_and_the_facts(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("content")
    recorded(path, stage="s", settings="{}")
    assert provenance_path(path) == tmp_path / "a.txt.provenance.json"
    digest = hashlib.sha256(b"content").hexdigest()
    assert read_provenance(path) == {"sha256": digest, "stage": "s", "settings": "{}"}
    assert json.loads(provenance_path(path).read_text()) == read_provenance(path)
    assert verify(path) == digest
    assert names(tmp_path) == ["a.txt", "a.txt.provenance.json"]


def test_provenance_is_of_the_content_that_will_be_renamed(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        write_provenance(path, temporary, {})
    assert read_provenance(path)["sha256"] == hashlib.sha256(b"new").hexdigest() == verify(path)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:3] + b"?" + b[4:], lambda b: b + b"\0"])
def test_a_changed_file_is_named(tmp_path, damage):
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789" * 10)
    recorded(path)
    path.write_bytes(damage(path.read_bytes()))
    expected = re.escape(f"{path}: truncated or changed since it was written (SHA-256 {sha256(path)[:12]}, recorded ")
    with pytest.raises(SynthoodError, match=f"^{expected}.*delete it and run the same command again$"):
        verify(path)


def test_a_changed_file_of_a_folder_is_noticed(tmp_path):
    path = filled(tmp_path / "a", one="1", two="2")
    recorded(path)
    assert verify(path) == sha256(path)
    (path / "two").write_text("3")
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: truncated or changed"):
        verify(path)
    (path / "two").unlink()
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: truncated or changed"):
        verify(path)


def test_a_missing_artefact_is_named(tmp_path):
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(tmp_path / 'a'))}: not found; run the stage"):
        verify(tmp_path / "a")


def test_without_provenance_there_is_nothing_to_compare(tmp_path):
    path = tmp_path / "a"
    path.write_text("x")
    assert read_provenance(path) == {}
    assert verify(path) == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize("content", [b"", b"{half", b"[1]", b"3", b"\xff\xfe", b'{"sha256": null}', b'{"sha256": 3}'])
def test_truncated_provenance_is_an_error_and_no_traceback(tmp_path, content):
    path = tmp_path / "a"
    path.write_text("x")
    provenance_path(path).write_bytes(content)
    assert read_provenance(path) == {}
    expected = f"{path}.provenance.json: truncated or changed; delete it with a and run again"
    with pytest.raises(SynthoodError, match=f"^{re.escape(expected)}$"):
        verify(path)

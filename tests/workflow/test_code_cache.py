"""Digests of code on disk: used for the same files alone, whole or not at all."""

import json
import sys

import pytest

from synthood.workflow import code
from synthood.workflow.code_cache import FILE, CodeCache, state_of


def unknown():
    raise AssertionError("this is on disk already")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    package = tmp_path / "synthood"
    package.mkdir()
    package.joinpath("a.py").write_text("A = 1\n")
    return tmp_path


def test_a_later_process_computes_nothing(root):
    assert CodeCache(root).get("a", lambda: "123") == "123"
    assert CodeCache(root).get("a", unknown) == "123"


@pytest.mark.parametrize(
    "edit",
    [
        lambda package: package.joinpath("a.py").write_text("A = 2\n"),
        lambda package: package.joinpath("b.py").write_text(""),
        lambda package: package.joinpath("a.py").rename(package / "c.py"),
        lambda package: package.joinpath("a.py").unlink(),
    ],
    ids=["edited", "added", "renamed", "removed"],
)
def test_any_change_of_a_file_empties_it(root, edit):
    CodeCache(root).get("a", lambda: "123")
    edit(root / "synthood")
    assert CodeCache(root).get("a", lambda: "456") == "456"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": 1}', '{"state": "STATE", "values": 3}'])
def test_a_damaged_file_is_ignored_and_replaced(root, text):
    file = root / FILE
    file.parent.mkdir()
    file.write_text(text.replace("STATE", state_of(root / "synthood")))
    assert CodeCache(root).get("a", lambda: "123") == "123"
    assert json.loads(file.read_text())["values"] == {"a": "123"}


def test_where_python_keeps_no_bytecode_nothing_is_written(root, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert CodeCache(root).get("a", lambda: "123") == "123"
    assert not (root / FILE).exists()


def test_digests_from_the_cache_are_those_of_the_code(tmp_path, monkeypatch):
    module = "synthood.data.prepare"
    monkeypatch.setattr(code, "cache_of", lambda root: CodeCache(tmp_path))
    tmp_path.joinpath("synthood").mkdir()
    assert code.code_of(module) == code._code_of_module(module, code.PACKAGE_ROOT)

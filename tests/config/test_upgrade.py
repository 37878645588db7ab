"""Files rewritten to version 2: the names alone change."""

import json
import os
from pathlib import Path

import pytest

from synthood.config.upgrade import notes, upgrade
from synthood.errors import SynthoodError

OLD = """\
# take: a comment keeps its words
version: 1   # of the format
tables:
  t: &t
    bases: [ce]   # gains
    title: "bases: as they were"
  u: {<<: *t, 'bases': [kd]}
recipes:
  ce: &ce
    "take": kept   # no key of this section
    outliers: {from: o, take: other-classes}
    exposure: {kind: uniform, from: x,
      per_image: 2}
  kd: *ce
generators:
  g: {fit: {watch: {on_collapse: tell}, steps: 3}, kind: biggan}
"""
NEW = """\
# take: a comment keeps its words
version: 2   # of the format
tables:
  t: &t
    baselines: [ce]   # gains
    title: "bases: as they were"
  u: {<<: *t, 'baselines': [kd]}
recipes:
  ce: &ce
    "take": kept   # no key of this section
    outliers: {from: o, negatives: other-classes}
    exposure: {kind: uniform, from: x,
      outliers_per_image: 2}
  kd: *ce
generators:
  g: {fit: {watch: {on_collapse: warn}, steps: 3}, kind: biggan}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(OLD)
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "# ümläut 猫 🐈\n", "\ufeff# as Windows begins a file\n"])
def test_names_change_and_nothing_else(file: Path, end: str, before: str) -> None:
    file.write_bytes((before + OLD).replace("\n", end).encode())
    file.chmod(0o640)
    edits = upgrade(file)
    assert file.read_bytes() == (before + NEW).replace("\n", end).encode()
    assert file.stat().st_mode & 0o777 == 0o640
    more = bool(before)
    assert [(one.line - more, one.place, one.old, one.new) for one in edits] == [
        (2, "version", "1", "2"),
        (5, "tables.t.bases", "bases", "baselines"),
        (7, "tables.u.bases", "bases", "baselines"),
        (11, "recipes.ce.outliers.take", "take", "negatives"),
        (13, "recipes.ce.exposure.per_image", "per_image", "outliers_per_image"),
        (16, "generators.g.fit.watch.on_collapse", "tell", "warn"),
    ]


def test_the_second_time_nothing_changes(file: Path) -> None:
    upgrade(file)
    before = file.stat()
    assert upgrade(file) == []
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(file.parent.iterdir()) == [file]


def test_json(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text('{"version": 1, "tables": {"t": {"bases": ["ce"], "title": "bases"}}}')
    upgrade(file)
    assert file.read_text() == '{"version": 2, "tables": {"t": {"baselines": ["ce"], "title": "bases"}}}'
    assert json.loads(file.read_text())["version"] == 2


def test_notes_name_line_and_both_names(file: Path) -> None:
    first, *_, last = notes(file)
    assert first == f"{file}, line 5: tables.t.bases: `bases` is now `baselines`"
    assert last == f"{file}: `synthood check --upgrade {file}` writes the new names"
    upgrade(file)
    assert notes(file) == []


def test_a_link_is_left_alone(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    with pytest.raises(SynthoodError, match=f"link.yaml: is a link; upgrade the file that it leads to, {file}$"):
        upgrade(link)
    assert file.read_text() == OLD


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_leave_to_write(file: Path) -> None:
    file.parent.chmod(0o500)
    with pytest.raises(SynthoodError, match="its folder, is not writable"):
        upgrade(file)
    file.parent.chmod(0o700)
    assert file.read_text() == OLD


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "version: 1\nassess: &a {shift: 1}\nrecipes: {r: {augmentation: *a}}\n",
            r"line 2: assess.shift is `max_shift` now, but its anchor is also used where `shift` keeps its name",
        ),
        (
            "version: 1\nassess: {shift: 1, max_shift: 2}\n",
            "assess.shift: line 2: also given by its new name `max_shift` on line 2; keep that one",
        ),
        ('version: 1\nassess: {"sh\\x69ft": 1}\n', "line 2: `shift` is written in a way that is not followed"),
    ],
)
def test_what_cannot_be_followed_is_an_error_and_the_file_stays(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(SynthoodError, match=message):
        upgrade(file)
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_without_a_version_gets_the_names_alone(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("assess: {shift: 1}\n")
    assert [edit.new for edit in upgrade(file)] == ["max_shift"]
    assert file.read_text() == "assess: {max_shift: 1}\n"

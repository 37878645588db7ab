"""The configuration as text."""

from pathlib import Path

import pytest
import yaml

from synthood.errors import SynthoodError
from synthood.init.write import check_target, name_of, relative, scalar, write


@pytest.mark.parametrize(
    "value",
    [
        "cat",
        "t-shirt",
        "no",
        "0123",
        "1e3",
        "a: b",
        "a, b",
        "[x]",
        "#3",
        " x",
        "x ",
        "~",
        "Émile's",
        'a"b',
        "null",
        "é",
    ],
)
def test_any_text_is_read_as_it_was(value):
    assert yaml.safe_load(f"{{key: {scalar(value)}}}") == {"key": value}
    assert yaml.safe_load(f"[{scalar([value, 2.5])}, {scalar({'flip': True})}]") == [[value, 2.5], {"flip": True}]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my photos", "my-photos"),
        ("Äpfel & Birnen", "pfel-Birnen"),
        ("写真", "images"),
        ("x.csv", "x"),
        ("-", "images"),
    ],
)
def test_the_dataset_has_the_folders_name_in_the_letters_of_names(tmp_path, folder, name):
    assert name_of(tmp_path / folder, None) == name


def test_a_name_that_is_none_is_refused():
    assert name_of(Path("x"), "mine.2") == "mine.2"
    with pytest.raises(SynthoodError, match="--dataset a/b: letters, digits"):
        name_of(Path("x"), "a/b")


def test_paths_are_those_of_the_configurations_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert relative(Path("data/cats"), Path("configs")) == "../data/cats"
    assert relative(Path("data/cats"), Path()) == "data/cats"
    assert relative(tmp_path / "data", tmp_path) == "data"
    assert relative(tmp_path / "data", tmp_path / "configs") == str(tmp_path / "data")


def test_a_file_that_cannot_be_written_is_refused_before_anything_else(tmp_path):
    file = tmp_path / "a.yaml"
    check_target(file)
    write(file, "text\n")
    assert file.read_text() == "text\n"
    with pytest.raises(SynthoodError, match="is there already and is never overwritten; name another by --out"):
        check_target(file)
    with pytest.raises(SynthoodError, match="none: no such folder; make it, or name another file by --out"):
        check_target(tmp_path / "none" / "a.yaml")
    with pytest.raises(SynthoodError, match=r"a.yaml: no such folder"):
        check_target(file / "b.yaml")

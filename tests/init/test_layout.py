"""Which source reads a folder."""

import pytest

from class_folders import by_class, by_split, fill
from synthood.errors import SynthoodError
from synthood.init.layout import layout_of


def refusal(path, *more):
    with pytest.raises(SynthoodError) as caught:
        layout_of(path, *more)
    return str(caught.value)


def test_a_folder_per_class_is_shared_out(tmp_path):
    found = layout_of(by_class(tmp_path, {"cat": 1, "other": 1}))
    assert (found.keys, found.divided) == ({"kind": "folders", "path": str(tmp_path)}, False)


def test_splits_are_known_by_their_names(tmp_path):
    found = layout_of(by_split(tmp_path, {"Training": 1, "dev": 1, "test": 1}))
    assert found.keys == {"kind": "folders", "path": str(tmp_path)}
    assert (found.words, found.divided) == ("folders Training, dev, test", True)


def test_a_folder_of_unknown_images_may_lie_next_to_the_splits(tmp_path):
    by_split(tmp_path, {"train": 1, "test": 1})
    fill(tmp_path / "Unknown", 1, 5)
    fill(tmp_path / "scans", 1, 6)
    found = layout_of(tmp_path)
    assert found.keys["splits"] == {"train": "train", "test": "test"}
    assert found.unknown == {"Unknown": tmp_path / "Unknown"}
    assert found.problems == ("folders next to the splits are not read: scans",)


def test_a_single_split_is_read_as_class_folders(tmp_path):
    found = layout_of(by_split(tmp_path, {"train": 1}))
    assert (found.keys, found.divided) == ({"kind": "folders", "path": str(tmp_path / "train")}, False)


def test_a_class_may_be_called_train(tmp_path):
    found = layout_of(by_class(tmp_path, {"train": 1, "bus": 1, "car": 1}))
    assert found.keys == {"kind": "folders", "path": str(tmp_path), "classes": ["bus", "car", "train"]}


def test_torchvisions_layouts_are_known_from_above_and_below(tmp_path):
    inner = tmp_path / "data" / "cifar-10-batches-py"
    inner.mkdir(parents=True)
    for path in (tmp_path / "data", inner):
        assert layout_of(path).keys == {"kind": "cifar10", "path": str(path)}


def test_a_table_is_a_manifest(tmp_path):
    by_class(tmp_path, {"a": 2, "b": 2})
    table = tmp_path / "images.csv"
    table.write_text("path,label\na/0.png,a\na/1.png,a\nb/0.png,b\nb/1.png,b\n")
    assert layout_of(table).keys == {"kind": "manifest", "path": str(table)}
    assert not layout_of(table).divided
    rows = ["a/0.png,a,train", "a/1.png,a,test", "b/0.png,b,train", "b/1.png,b,test"]
    table.write_text("path,label,split\n" + "\n".join(rows))
    assert layout_of(table).divided


def test_classes_may_have_an_order_of_their_own(tmp_path):
    by_class(tmp_path, {"a": 1, "b": 1, "c": 1})
    assert layout_of(tmp_path, ["b", "c", "a"]).source().classes == ["b", "c", "a"]
    assert "name each of the 3 classes once; wrong or missing: c, d" in refusal(tmp_path, ["a", "b", "d"])


def test_what_is_no_folder_of_classes_is_refused_in_one_sentence(tmp_path):
    file = tmp_path / "cat.jpg"
    assert refusal(file) == f"{file}: no such folder; give one with one folder of images per class"
    fill(tmp_path / "loose", 3, 0)
    assert refusal(tmp_path / "loose").startswith(f"{tmp_path / 'loose'}: 3 images in no folder of a class; put")
    image = tmp_path / "loose" / "0.png"
    assert refusal(image) == f"{image}: a file; give a folder with one folder of images per class"
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty").endswith("empty: an empty folder; give one with one folder of images per class")
    (tmp_path / "empty" / "notes.txt").write_text("text")
    assert "no images, only notes.txt; give" in refusal(tmp_path / "empty")

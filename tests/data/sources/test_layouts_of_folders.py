"""Splits under all their names, folders that do not belong, and paths one level too high or too low."""

import re

import numpy as np
import pytest

from synthood.data.selection import Selection
from synthood.data.sources.folders import IdFolders
from synthood.errors import SynthoodError


@pytest.fixture
def lay(draw, tmp_path):
    """Draws so many images into each folder, and gives a source of them all."""

    def made(folders, **more):
        for folder, count in folders.items():
            for i in range(count):
                draw(f"{folder}/{i}.png")
        return IdFolders(kind="folders", path=str(tmp_path), **more)

    return made


def counts(source):
    return [np.bincount(source.listed(Selection(part=part)).labels).tolist() for part in ("train", "val", "test")]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "valid", "test"),
        ("train", "validation", "test"),
        ("Training", "DEV", "Testing"),
        ("TRAIN", "Val", "Test"),
    ],
)
def test_splits_are_known_by_their_synonyms(lay, train, val, test):
    source = lay({f"{train}/a": 5, f"{train}/b": 4, f"{val}/a": 3, f"{val}/b": 2, f"{test}/a": 1, f"{test}/b": 2})
    assert counts(source) == [[5, 4], [3, 2], [1, 2]]


def test_train_and_test_in_capitals_are_no_classes(lay):
    source = lay({"Train/a": 5, "Train/b": 4, "Test/a": 3, "Test/b": 2})
    assert counts(source) == [[5, 4], [1, 1], [2, 1]]
    assert source.listed(Selection(part="train")).classes == ["a", "b"]


def test_validation_stands_for_a_missing_test(lay):
    assert counts(lay({"train/a": 5, "train/b": 4, "validation/a": 3, "validation/b": 2})) == [[5, 4], [1, 1], [2, 1]]


def test_two_folders_of_one_split_are_an_error(lay):
    source = lay({"train/a": 1, "train/b": 1, "val/a": 1, "valid/a": 1, "test/a": 1})
    with pytest.raises(SynthoodError, match="val, valid are names of one split; choose by `splits`"):
        source.listed(Selection(part="train"))


def test_a_folder_next_to_a_split_is_an_error_that_names_it(lay):
    folders = {"train/a": 2, "train/b": 2, "test/a": 2, "test/b": 2, "extra/a": 2}
    with pytest.raises(SynthoodError, match=r"folders extra next to test, train; name the folders to read by `splits`"):
        lay(folders).listed(Selection(part="train"))
    source = lay(folders, splits={"train": "train", "test": "test"})
    assert counts(source) == [[2, 2], [1, 1], [1, 1]]
    assert any(
        "folders not read, since `splits` does not name them: extra" in note
        for note in source.listed(Selection(part="train")).notes
    )


def test_classes_that_are_called_like_splits_are_named(lay):
    folders = {"bus": 4, "car": 4, "train": 4}
    with pytest.raises(SynthoodError, match="folders bus, car next to train"):
        lay(folders).listed(Selection(part="train"))
    assert counts(lay(folders, classes=["bus", "car", "train"])) == [[2, 2, 2], [1, 1, 1], [1, 1, 1]]


def test_splits_of_any_name_may_be_several_folders(lay):
    folders = {f"fold{fold}/{name}": fold for fold in (1, 2, 3, 4) for name in "ab"}
    source = lay(folders, splits={"train": ["fold1", "fold2"], "val": "fold3", "test": "fold4"})
    assert counts(source) == [[3, 3], [3, 3], [4, 4]]
    assert counts(lay({}, splits={"train": "fold2", "val": "fold4"})) == [[2, 2], [1, 1], [3, 3]]
    with pytest.raises(
        SynthoodError, match=r"fold5: not found, but named by `splits`; .* has fold1, fold2, fold3, fold4"
    ):
        lay({}, splits={"train": "fold5", "test": "fold4"}).listed(Selection(part="train"))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": "a"}, "name test or val as well"),
        ({"train": "a", "test": "a"}, "'a' is given twice"),
        ({"train": "caf\u00e9", "test": "cafe\u0301"}, "is given twice"),
        ({"train": "a", "test": "../b"}, "'../b' is no folder below the path"),
        ({"train": "a", "test": "/b"}, "'/b' is no folder below the path"),
        ({"train": "a", "test": "."}, "'.' is no folder below the path"),
        ({"train": "a", "test": ["b", "a/c"]}, "'a/c' lies in 'a'"),
    ],
)
def test_splits_that_cannot_be_are_refused_before_any_file_is_read(splits, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        IdFolders(kind="folders", path=".", splits=splits)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            {"photos/train/a": 3, "photos/test/a": 3},
            r"one class alone, photos; it holds the folders test, train: .*high",
        ),
        (
            {"photos/a": 3, "photos/b": 3},
            r"one class alone, photos; .*a, b: is the path one level too high\? Give .*photos",
        ),
        ({"a": 3}, "one class alone, a; is the path one level too low"),
        ({"train/photos/a": 3, "test/photos/a": 3}, r"train: one class alone, photos; .*one level too high"),
        ({"x/train/a": 3, "x/test/a": 3, "y/train/a": 3, "y/val/b": 3}, r"x: read as a class, but holds .* too high"),
        ({".": 3}, r"no folder of a class in it but 3 images; is the path one level too low"),
        ({"train": 3, "test": 3}, r"train: no folder of a class in it but 3 images"),
    ],
)
def test_a_path_of_another_level_is_named(lay, folders, message):
    with pytest.raises(SynthoodError, match=message):
        lay(folders).listed(Selection(part="train"))


def test_one_class_is_no_task_whatever_the_layout(lay, tmp_path):
    source = lay({"train/a": 3, "train/b": 3, "test/a": 3, "test/b": 3}, except_classes=["a"])
    with pytest.raises(SynthoodError, match="two classes must remain, b is left"):
        source.listed(Selection(part="train"))


def test_a_path_of_one_split_alone_is_noted(lay, tmp_path):
    lay({"train/a": 10, "train/b": 10, "validation/a": 3, "test/a": 3})
    notes = IdFolders(kind="folders", path=str(tmp_path / "train")).listed(Selection(part="train")).notes
    assert notes == [
        f"{tmp_path / 'train'}: shared out to train, val and test; not read: test, validation next to it "
        "(give the folder above)"
    ]


def test_classes_of_subfolders_alone_are_noted(lay, tmp_path):
    notes = lay({"one/cat": 4, "one/dog": 4, "two/cat": 4, "two/dog": 4}).listed(Selection(part="train")).notes
    assert notes == [
        f"{tmp_path}: all images lie in subfolders of their class (cat, dog); is the path one level too high?"
    ]


def test_numbered_folders_are_in_the_order_of_their_numbers(lay):
    listing = lay({str(number): 10 for number in range(12)} | {"other": 10}).listed(Selection(part="train"))
    assert listing.classes == [*map(str, range(12)), "other"]
    for file, label in zip(listing.images, listing.labels, strict=True):
        assert file.parent.name == listing.classes[label]


def test_names_are_equal_in_any_unicode_form(lay):
    source = lay({"train/caf\u00e9": 3, "train/b": 3, "test/cafe\u0301": 3, "test/b": 3})
    assert source.listed(Selection(part="train")).classes == ["b", "caf\u00e9"]
    assert counts(source) == [[3, 3], [1, 1], [2, 2]]
    held = source.model_copy(update={"splits": None})
    assert len(held.listed(Selection(part="x", held_out=["caf\u00e9"]))) == 6


def test_training_images_of_every_class_are_needed(lay):
    source = lay({"train/a": 3, "train/b": 3, "test/a": 3, "test/b": 3}, classes=["a", "b", "c"])
    with pytest.raises(SynthoodError, match="no training image of class c"):
        source.listed(Selection(part="train"))
    assert source.listed(Selection(part="test")).notes[-1].endswith("no image of class c")

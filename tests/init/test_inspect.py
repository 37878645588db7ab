"""What a folder's images are."""

import shutil

import numpy as np
import pytest
from PIL import Image

from class_folders import by_class, by_split
from synthood.errors import SynthoodError
from synthood.init.inspect import inspect, problems, summary
from synthood.init.layout import layout_of


def inspected(path):
    return inspect(layout_of(path))


def test_counts_are_those_of_the_parts(tmp_path):
    found = inspected(by_class(tmp_path, {"a": 20, "b": 40}))
    assert {part: counts.tolist() for part, counts in found.counts.items()} == {
        "train": [16, 32], "val": [2, 4], "test": [2, 4],
    }  # fmt: skip
    assert (found.total, found.decoded, found.side, found.square, found.grey) == (60, 60, 16, True, 0)
    assert list(problems(found)) == []
    assert list(summary(found)) == [
        f"{tmp_path}: a folder per class, shared out 80 % train, 10 % validation, 10 % test",
        "  60 images (train 48, val 6, test 6)",
        "  2 classes, 20 (a) to 40 (b) images",
        "  shorter side all 16 px; in colour",
    ]


def test_sizes_and_modes_are_those_of_the_files(tmp_path):
    by_class(tmp_path, {"a": 20, "b": 20})
    for index, side in enumerate((10, 30, 40)):
        Image.new("L", (side, 50), 10 * index).save(tmp_path / "a" / f"{index}.png")
    found = inspected(tmp_path)
    assert sorted(found.sides.tolist()) == [10, *[16] * 37, 30, 40]
    assert (found.square, found.grey) == (False, 3)
    assert list(summary(found))[-1].endswith("most) 10 16 16 16 40 px; 3 grey")


def test_unreadable_files_are_named_first(tmp_path):
    by_class(tmp_path, {"a": 20, "b": 20})
    (tmp_path / "a" / "3.png").write_bytes(b"no image")
    (tmp_path / "b" / "4.png").write_bytes(b"")
    (tmp_path / "b" / "5.heic").write_bytes(b"heic")
    first = next(problems(inspected(tmp_path)))
    assert first.startswith("problem: 3 images cannot be read and are left out: ")
    assert "5.heic: of a format that is not read" in first


def test_a_folder_without_readable_images_is_refused(tmp_path):
    by_class(tmp_path, {"a": 6, "b": 6})
    for file in tmp_path.rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(SynthoodError, match="none of 8 images is readable; the first: "):
        inspected(tmp_path)


def test_a_class_without_readable_images_is_refused(tmp_path):
    by_class(tmp_path, {"a": 6, "b": 6})
    for file in (tmp_path / "b").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(SynthoodError, match="no readable image of class b is left"):
        inspected(tmp_path)


def test_copies_are_found_within_and_across_classes(tmp_path):
    by_class(tmp_path, {"a": 20, "b": 20})
    shutil.copy(tmp_path / "a" / "0.png", tmp_path / "a" / "copy.png")
    shutil.copy(tmp_path / "a" / "1.png", tmp_path / "b" / "wrong.png")
    found = inspected(tmp_path)
    assert sorted([*sorted(pair[:2]), pair[2]] for pair in found.repeated) == [
        ["a/0.png", "a/copy.png", False],
        ["a/1.png", "b/wrong.png", True],
    ]
    repeated, wrong = problems(found)
    assert repeated.startswith("problem: 2 images have the pixels of another one: ")
    assert wrong.startswith("problem: 1 of them are in two classes, one of which is wrong: ")


def test_images_like_those_of_another_split_are_found(tmp_path):
    by_split(tmp_path, {"train": 10, "test": 10}, side=64)
    with Image.open(tmp_path / "train" / "a" / "2.png") as image:
        darker = (np.asarray(image) * 0.8).astype(np.uint8)
    Image.fromarray(darker).save(tmp_path / "test" / "a" / "9.png")
    assert inspected(tmp_path).near == [("test/a/9.png", "train/a/2.png")]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a": 20, "b": 4, "c": 3}, "fewer than 5 images of 'b' (4), 'c' (3); add images, or move the folder away"),
        ({"a": 20}, "one class alone, a"),
        ({"a": 20, "b": 0}, "no image in this class; fill the folder or take it away"),
    ],
)
def test_too_few_images_or_classes_are_refused(tmp_path, counts, message):
    with pytest.raises(SynthoodError) as caught:
        inspected(by_class(tmp_path, counts))
    assert message in str(caught.value)


def test_few_images_of_a_class_are_a_problem(tmp_path):
    assert list(problems(inspected(by_class(tmp_path, {"a": 12, "b": 30})))) == [
        "problem: few images of a (12): figures of such classes are coarse"
    ]

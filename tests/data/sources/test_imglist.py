"""Image lists: what a line may be, and which images and labels a list gives."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.data.files.names import inside
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import prepare
from synthood.data.selection import Selection
from synthood.data.sources.imglist import IdImglist, Imglist, parse_list
from synthood.errors import SynthoodError


def test_a_line_is_a_path_and_a_label():
    paths, labels = parse_list("a/b c.png 3\r\n\n  ü/é.jpg   -1\nlast 0", "x")
    assert paths == ["a/b c.png", "ü/é.jpg", "last"]
    assert (labels.tolist(), labels.dtype) == ([3, -1, 0], np.int64)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png", "expected a path, a blank and a label, got 'a.png'"),
        ("a.png x", "expected a path"),
        ("a.png 1.5", "expected a path"),
        ("a.png -2", "expected a path"),
        ("a.png ٣", "expected a path"),
        (" 3", "expected a path"),
        ("../a.png 3", "'../a.png' leaves the folder of the images"),
        ("a/../../b.png 3", "leaves the folder"),
        ("/etc/passwd 3", "'/etc/passwd' leaves the folder"),
        ("ok.png 4", "'ok.png' stands on line 1 already"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(line, message):
    with pytest.raises(SynthoodError, match=f"^list.txt, line 2: .*{re.escape(message)}"):
        parse_list(f"ok.png 0\n{line}\n", "list.txt")


def test_an_empty_list_is_an_error():
    with pytest.raises(SynthoodError, match=r"^x: names no image"):
        parse_list("\n \n", "x")


NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\/"), min_size=1).map(
    lambda name: f"folder {name}/{name} x.png"
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(NAMES.filter(inside), st.integers(-1, 10**6)), min_size=1, unique_by=lambda pair: pair[0]))
def test_what_is_written_is_read_back(lines):
    paths, labels = parse_list("".join(f"{path} {label}\n" for path, label in lines), "x")
    assert list(zip(paths, labels.tolist(), strict=True)) == lines


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text())
def test_any_text_is_a_list_or_refused_with_its_name(text):
    try:
        paths, labels = parse_list(text, "the list")
    except SynthoodError as error:
        assert str(error).startswith(("the list: ", "the list, line "))  # noqa: PT017
    else:
        assert len(paths) == len(set(paths)) == len(labels) > 0
        assert labels.min() >= -1
        assert all(inside(path) for path in paths)


@pytest.fixture
def benchmark(draw, tmp_path):
    """Three classes in OpenOOD's layout, with a list of OOD images."""
    for i in range(6):
        draw(f"images/own/train/{'abc'[i % 3]}/{i}.png")
        draw(f"images/own/test/{'abc'[i % 3]}/{i}.png")
    lists = {
        "train": [(f"own/train/{'abc'[i % 3]}/{i}.png", i % 3) for i in (4, 1, 0, 2, 3, 5)],
        "val": [(f"own/test/{'abc'[i % 3]}/{i}.png", i % 3) for i in (2, 1, 0)],
        "test": [(f"own/test/{'abc'[i % 3]}/{i}.png", i % 3) for i in (3, 5, 4)],
        "ood": [(f"own/test/{'abc'[i % 3]}/{i}.png", -1) for i in (5, 3)],
    }
    for name, lines in lists.items():
        (tmp_path / f"{name}.txt").write_text("".join(f"{path} {label}\n" for path, label in lines))
    return tmp_path


def id_settings(place, **more):
    lists = {name: str(place / f"{name}.txt") for name in ("train", "val", "test")}
    return IdImglist(kind="imglist", path=str(place / "images"), **(lists | more))


def test_parts_come_in_the_order_of_their_lists_with_the_folders_as_classes(benchmark):
    made = {part: id_settings(benchmark).listed(Selection(part=part)) for part in ("train", "val", "test")}
    assert made["train"].labels.tolist() == [1, 1, 0, 2, 0, 2]
    assert [file.name for file in made["train"].images] == ["4.png", "1.png", "0.png", "2.png", "3.png", "5.png"]
    assert made["test"].labels.tolist() == [0, 2, 1]
    assert all(listing.classes == ["a", "b", "c"] for listing in made.values())


def test_pixels_and_labels_are_those_of_the_named_files(draw, tmp_path):
    pixels = [draw("x/1.png"), draw("y/2.png")]
    (tmp_path / "l.txt").write_text("y/2.png 0\nx/1.png 1\n")
    made = prepare(
        PartSettings(part="p", source=Imglist(kind="imglist", path=str(tmp_path), list=str(tmp_path / "l.txt")))
    )
    np.testing.assert_array_equal(made.images, pixels[::-1])
    assert (made.labels.tolist(), made.classes) == ([0, 1], ["y", "x"])


def test_ood_images_need_no_label(benchmark):
    source = Imglist(kind="imglist", path=str(benchmark / "images"), list=str(benchmark / "ood.txt"), count=2)
    made = prepare(PartSettings(part="far", ood=True, source=source))
    assert made.labels.tolist() == [-1, -1]


def test_counts_are_asserted_or_told(benchmark):
    source = Imglist(kind="imglist", path=str(benchmark / "images"), list=str(benchmark / "ood.txt"))
    with pytest.raises(SynthoodError, match=r"ood.txt: names 2 images, the protocol 3; take its list"):
        source.model_copy(update={"count": 3}).listed(Selection(part="far"))
    assert source.model_copy(update={"reported_count": 2}).listed(Selection(part="far")).notes == []
    notes = source.model_copy(update={"reported_count": 3}).listed(Selection(part="far")).notes
    assert notes == [f"{benchmark / 'ood.txt'}: names 2 images, reported were 3"]
    counted = id_settings(benchmark, count={"train": 6, "val": 3, "test": 4})
    assert len(counted.listed(Selection(part="val"))) == 3
    with pytest.raises(SynthoodError, match=r"test.txt: names 3 images, the protocol 4"):
        counted.listed(Selection(part="test"))


def test_some_labels_are_numbered_anew(benchmark):
    two = id_settings(benchmark, labels=[2, 1])
    assert two.class_count == 2
    train = two.listed(Selection(part="train"))
    assert (train.labels.tolist(), train.classes) == ([0, 0, 1, 1], ["b", "c"])
    rest = Imglist(
        kind="imglist", path=str(benchmark / "images"), list=str(benchmark / "test.txt"), except_labels=[1, 2]
    )
    assert [file.name for file in rest.listed(Selection(part="near")).images] == ["3.png"]
    with pytest.raises(SynthoodError, match=r"train.txt: no image has label 7"):
        id_settings(benchmark, labels=[1, 7]).listed(Selection(part="train"))


@pytest.mark.parametrize(("part", "other"), [("val", "train"), ("test", "val"), ("test", "train")])
def test_an_image_may_stand_in_one_part_alone(benchmark, part, other):
    line = (benchmark / f"{other}.txt").read_text().splitlines()[0]
    with (benchmark / f"{part}.txt").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(SynthoodError, match=rf"{part}.txt: {line.split()[0]} stands in .*{other}.txt as well"):
        id_settings(benchmark).listed(Selection(part=part))


def test_what_does_not_fit_is_named(benchmark):
    (benchmark / "test.txt").write_text("own/test/a/3.png 0\nown/test/b/4.png 3\n")
    with pytest.raises(SynthoodError, match=r"test.txt: label 3 of own/test/b/4.png is not one of the 3 classes"):
        id_settings(benchmark).listed(Selection(part="test"))
    (benchmark / "test.txt").write_text("own/test/a/3.png 0\nown/test/b/none.png 1\n")
    with pytest.raises(SynthoodError, match=r"none.png: not found, but named by .*test.txt \(1 of its 2"):
        id_settings(benchmark).listed(Selection(part="test"))
    with pytest.raises(SynthoodError, match=r"labels of 3 classes, the configuration says 4"):
        id_settings(benchmark, classes=4).listed(Selection(part="train"))
    with pytest.raises(SynthoodError, match=r"no training image of class 'd'"):
        id_settings(benchmark, classes=["a", "b", "c", "d"]).listed(Selection(part="train"))
    (benchmark / "train.txt").write_text("own/train/a/0.png 0\nown/train/b/1.png 2\n")
    with pytest.raises(SynthoodError, match=r"train.txt: labels up to 2, but none is 1"):
        id_settings(benchmark).listed(Selection(part="train"))
    (benchmark / "train.txt").write_text("own/train/a/0.png -1\n")
    with pytest.raises(SynthoodError, match=r"train.txt: own/train/a/0.png has label -1"):
        id_settings(benchmark).listed(Selection(part="train"))
    (benchmark / "train.txt").write_bytes(b"\xff\xfe 0\n")
    with pytest.raises(SynthoodError, match=r"train.txt: not readable as UTF-8 text"):
        id_settings(benchmark).listed(Selection(part="train"))
    with pytest.raises(SynthoodError, match=r"absent.txt: not found"):
        id_settings(benchmark, train=str(benchmark / "absent.txt")).listed(Selection(part="train"))


def test_so_many_training_images_of_each_class_are_drawn_with_the_seed(benchmark):
    whole = id_settings(benchmark).listed(Selection(part="train"))
    least = int(np.bincount(whole.labels).min())
    few = id_settings(benchmark, train_per_class=1).listed(Selection(part="train"))
    assert sorted(few.labels.tolist()) == [0, 1, 2]
    assert set(few.images) <= set(whole.images)
    assert id_settings(benchmark, train_per_class=1).listed(Selection(part="train")).images == few.images
    drawn = {
        tuple(id_settings(benchmark, train_per_class=1, seed=seed).listed(Selection(part="train")).images)
        for seed in range(9)
    }
    assert len(drawn) > 1
    for part in ("val", "test"):
        assert (
            id_settings(benchmark, train_per_class=1).listed(Selection(part=part)).images
            == id_settings(benchmark).listed(Selection(part=part)).images
        )
    with pytest.raises(SynthoodError, match=rf"at least {least + 1} are needed"):
        id_settings(benchmark, train_per_class=least + 1).listed(Selection(part="train"))


def test_paths_are_found_in_any_unicode_form(draw, tmp_path):
    for name in ("cafe\u0301", "b"):
        draw(f"{name}/1.png")
    (tmp_path / "l.txt").write_text("caf\u00e9/1.png 0\nb/1.png 1", encoding="utf-8")
    source = Imglist(kind="imglist", path=str(tmp_path), list=str(tmp_path / "l.txt"))
    listing = source.listed(Selection(part="far"))
    assert listing.classes == ["caf\u00e9", "b"]
    assert listing.images == [tmp_path / "cafe\u0301/1.png", tmp_path / "b/1.png"]
    (tmp_path / "l.txt").write_text("caf\u00e9/1.png 0\ncafe\u0301/1.png 1", encoding="utf-8")
    with pytest.raises(SynthoodError, match="twice, in two Unicode forms"):
        source.listed(Selection(part="far"))
    (tmp_path / "m.txt").write_text("caf\u00e9/1.png 0", encoding="utf-8")
    (tmp_path / "l.txt").write_text("cafe\u0301/1.png 0\nb/1.png 1", encoding="utf-8")
    lists = {"train": str(tmp_path / "l.txt"), "val": str(tmp_path / "m.txt"), "test": str(tmp_path / "m.txt")}
    with pytest.raises(SynthoodError, match="an image belongs to one part"):
        IdImglist(kind="imglist", path=str(tmp_path), **lists).listed(Selection(part="val"))


def test_one_class_is_no_task(draw, tmp_path):
    draw("a/1.png")
    (tmp_path / "l.txt").write_text("a/1.png 0")
    lists = dict.fromkeys(("train", "val", "test"), str(tmp_path / "l.txt"))
    with pytest.raises(SynthoodError, match="one class alone, a; a classifier needs two classes"):
        IdImglist(kind="imglist", path=str(tmp_path), **lists).listed(Selection(part="train"))

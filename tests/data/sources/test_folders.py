"""Folders of images: classes, splits, and what a folder may not hold."""

import numpy as np
import pytest

from synthood.data.files.decode import Reading
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import prepare
from synthood.data.selection import Selection
from synthood.data.sources.folders import Folders, IdFolders
from synthood.errors import SynthoodError


def names(listing):
    return [file.name for file in listing.images]


def parts(settings):
    return {part: settings.listed(Selection(part=part)) for part in ("train", "val", "test")}


@pytest.fixture
def divided(draw, tmp_path):
    """Two classes with names that need care, in train and test."""
    for name, count in (("train/über café", 6), ("train/ant", 3), ("test/über café", 4), ("test/ant", 5)):
        for i in range(count):
            draw(f"{name}/{name[:2]} {i}.png")
    (tmp_path / "train/ant/Thumbs.db").write_bytes(b"x")
    (tmp_path / "train/ant/.hidden.png").write_bytes(b"x")
    return IdFolders(kind="folders", path=str(tmp_path))


def test_val_is_taken_out_of_test_and_classes_are_the_sorted_names(divided):
    made = parts(divided)
    assert made["train"].classes == ["ant", "über café"]
    assert names(made["train"]) == ["tr 0.png", "tr 1.png", "tr 2.png", *(f"tr {i}.png" for i in range(6))]
    assert made["train"].labels.tolist() == [0] * 3 + [1] * 6
    assert np.bincount(made["val"].labels).tolist() == [1, 1]
    assert np.bincount(made["test"].labels).tolist() == [4, 3]
    assert not set(made["val"].images) & set(made["test"].images)


def test_more_of_a_class_may_be_asked_for(divided):
    made = parts(divided.model_copy(update={"val_per_class": 3, "train_per_class": 2}))
    assert {part: np.bincount(listing.labels).tolist() for part, listing in made.items()} == {
        "train": [2, 2],
        "val": [3, 3],
        "test": [2, 1],
    }
    with pytest.raises(SynthoodError, match="4 images of über café, at least 5 are needed"):
        divided.model_copy(update={"val_per_class": 4}).listed(Selection(part="val"))
    with pytest.raises(SynthoodError, match="3 images of ant, at least 4 are needed"):
        divided.model_copy(update={"train_per_class": 4}).listed(Selection(part="train"))


def test_a_val_folder_stays_val_and_a_missing_test_is_taken_from_it(draw, tmp_path):
    for name in ("train", "val"):
        for i in range(20):
            draw(f"{name}/{'ab'[i % 2]}/{i:02d}.png")
    made = parts(IdFolders(kind="folders", path=str(tmp_path)))
    assert [len(made[part]) for part in ("train", "val", "test")] == [20, 2, 18]
    draw("test/a/new.png")
    made = parts(IdFolders(kind="folders", path=str(tmp_path)))
    assert [len(made[part]) for part in ("train", "val", "test")] == [20, 20, 1]


def test_undivided_classes_are_shared_out_each_image_once(draw, tmp_path):
    for i in range(40):
        draw(f"{'big' if i < 30 else 'small'}/{i}.png")
    settings = IdFolders(kind="folders", path=str(tmp_path))
    made = parts(settings)
    assert {part: np.bincount(listing.labels).tolist() for part, listing in made.items()} == {
        "train": [24, 8],
        "val": [3, 1],
        "test": [3, 1],
    }
    assert sorted(file for listing in made.values() for file in listing.images) == sorted(tmp_path.rglob("*.png"))
    assert parts(settings.model_copy(update={"seed": 1}))["test"].images != made["test"].images
    few = parts(settings.model_copy(update={"train_per_class": 5, "val_per_class": 2}))
    assert {part: np.bincount(listing.labels).tolist() for part, listing in few.items()} == {
        "train": [5, 5],
        "val": [2, 2],
        "test": [23, 3],
    }


def test_an_ood_folder_may_be_flat_or_deep(draw, tmp_path):
    draw("flat/b.png"), draw("flat/a.JPG", format="JPEG"), draw("deep/x/1/2.png"), draw("deep/y/3.png")
    flat = Folders(kind="folders", path=str(tmp_path / "flat")).listed(Selection(part="far"))
    assert (names(flat), flat.labels.tolist(), flat.classes) == (["a.JPG", "b.png"], [-1, -1], [])
    deep = Folders(kind="folders", path=str(tmp_path / "deep"), count=2).listed(Selection(part="far"))
    assert (names(deep), deep.labels.tolist(), deep.classes) == (["2.png", "3.png"], [0, 1], ["x", "y"])
    with pytest.raises(SynthoodError, match=r"deep: 2 images, the configuration says 3"):
        Folders(kind="folders", path=str(tmp_path / "deep"), count=3).listed(Selection(part="far"))


def test_an_empty_class_a_missing_folder_and_an_untaught_class_are_named(divided, tmp_path):
    (tmp_path / "train/zebra").mkdir()
    with pytest.raises(SynthoodError, match=r"train/zebra: no image in this class"):
        divided.listed(Selection(part="train"))
    (tmp_path / "train/zebra").rmdir()
    (tmp_path / "test/ant").rename(tmp_path / "test/bee")
    with pytest.raises(SynthoodError, match="class 'bee' is not among the classes of"):
        divided.listed(Selection(part="test"))
    with pytest.raises(SynthoodError, match=r"train: class 'ant' is not among"):
        divided.model_copy(update={"classes": ["fly", "über café"]}).listed(Selection(part="train"))
    for missing in (Folders(kind="folders", path="none"), IdFolders(kind="folders", path="none")):
        with pytest.raises(SynthoodError, match=r"^none: not found"):
            missing.listed(Selection(part="test"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SynthoodError, match=r"empty: no images below it"):
        Folders(kind="folders", path=str(tmp_path / "empty")).listed(Selection(part="far"))
    with pytest.raises(SynthoodError, match=r"empty: no folder of a class"):
        IdFolders(kind="folders", path=str(tmp_path / "empty")).listed(Selection(part="train"))
    (tmp_path / "half/train").mkdir(parents=True)
    with pytest.raises(SynthoodError, match=r"half: train without test"):
        IdFolders(kind="folders", path=str(tmp_path / "half")).listed(Selection(part="train"))


def test_links_are_followed_and_circles_told(draw, tmp_path):
    draw("elsewhere/a.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/linked").symlink_to(tmp_path / "elsewhere")
    assert names(Folders(kind="folders", path=str(tmp_path / "set")).listed(Selection(part="far"))) == ["a.png"]
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "set")
    with pytest.raises(SynthoodError, match=r"back: a link to a folder above it"):
        Folders(kind="folders", path=str(tmp_path / "set")).listed(Selection(part="far"))
    (tmp_path / "elsewhere/back").unlink()
    (tmp_path / "elsewhere/self").symlink_to(tmp_path / "elsewhere/self")
    assert names(Folders(kind="folders", path=str(tmp_path / "set")).listed(Selection(part="far"))) == ["a.png"]
    (tmp_path / "elsewhere/self.png").symlink_to(tmp_path / "elsewhere/self.png")
    listing = Folders(kind="folders", path=str(tmp_path / "set")).listed(Selection(part="far"))
    with pytest.raises(SynthoodError, match=r"self.png: cannot be read"):
        list(Reading(listing, Folders(kind="folders", path=".")))


def test_prepare_tells_what_it_skipped(draw, tmp_path):
    pixels = [draw("a/1.png"), draw("b/1.png"), draw("b/3.png")]
    (tmp_path / "b/2.png").write_text("no")
    source = Folders(kind="folders", path=str(tmp_path), on_bad_image="skip")
    made = prepare(PartSettings(part="extra", source=source))
    np.testing.assert_array_equal(made.images, pixels)
    assert (made.labels.tolist(), made.classes) == ([0, 1, 1], ["a", "b"])
    assert made.notes == [f"{tmp_path / 'b/2.png'}: not an image file"]

"""The contact sheet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from synthood.common.encoded import write_encoded
from synthood.common.images import ImageSet, write_images
from synthood.data.sheet import CELL, GAP, SHOWN, cell, main, row_of, spread


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=60), st.integers(1, 25))
def test_images_are_spread_over_the_classes(labels, count):
    labels = np.array(labels)
    chosen = spread(labels, count)
    assert len(chosen) == len(set(chosen.tolist())) == min(count, len(labels))
    shares, whole = (np.bincount(which + 1, minlength=6) for which in (labels[chosen], labels))
    assert (np.abs(shares - whole * len(chosen) / len(labels)) <= 2).all()


def test_a_large_image_is_shrunk_and_a_small_one_enlarged_into_the_middle():
    wide = np.zeros((50, 200, 3), np.uint8)
    shown = cell(wide)
    assert shown.shape == (CELL + 2 * GAP, CELL + 2 * GAP, 3)
    dark = np.argwhere(shown.max(2) < 128)
    assert dark.min(0).tolist() == [GAP + 24, GAP]
    assert dark.max(0).tolist() == [GAP + 39, GAP + CELL - 1]
    small = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3)
    enlarged = cell(small)[GAP:-GAP, GAP:-GAP]
    np.testing.assert_array_equal(enlarged[::32, ::32], small)


def test_a_row_shows_its_images_in_order_and_says_how_many_there_are(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    write_images(
        tmp_path / "train.safetensors", ImageSet(images, np.array([1, 0, 0, 1, 0]), ["cat", "dog"], notes=["x"])
    )
    row = row_of(tmp_path / "train.safetensors")
    assert row.name == "train"
    assert row.text == "5 images, 64x64 px, 2 classes; 2 of dog to 3 of cat; 1 notes"
    width = CELL + 2 * GAP
    assert row.picture.shape == (width, SHOWN * width, 3)
    for place, index in enumerate((1, 2, 4, 0, 3)):
        shown = row.picture[GAP : GAP + CELL, place * width + GAP : place * width + GAP + CELL]
        np.testing.assert_array_equal(shown, images[index])
    assert (row.picture[:, 5 * width :] == 255).all()


def test_the_stage_draws_encoded_and_raw_parts_and_the_same_twice(tmp_path):
    large = np.random.default_rng(1).integers(0, 256, (3, 80, 70, 3), dtype=np.uint8)
    write_encoded(tmp_path / "train.safetensors", iter(large), 1, lambda: (np.full(3, -1), {"classes": []}))
    write_images(tmp_path / "far.safetensors", ImageSet.out_of_distribution(large[:, :20, :20]))
    inputs = [str(tmp_path / f"{name}.safetensors") for name in ("train", "far")]
    for name in ("a.png", "b.png"):
        main(["--output", str(tmp_path / name), "--title", "some $x_1$", "--images", *inputs])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width == 1210
        assert len(np.unique(np.asarray(picture))) > 100


def test_a_damaged_part_is_named(tmp_path, capsys):
    (tmp_path / "far.safetensors").write_bytes(b"no")
    with pytest.raises(SystemExit):
        main(["--output", str(tmp_path / "sheet.png"), "--images", str(tmp_path / "far.safetensors")])
    assert "far.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()

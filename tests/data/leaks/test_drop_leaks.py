"""Evaluated parts without images that stand in ID parts."""

import numpy as np
import pytest

from pictures import as_jpeg, smooth
from synthood.common.encoded import is_encoded, open_encoded, write_encoded
from synthood.common.image_facts import ImageFacts
from synthood.common.images import ImageSet, pixel_sha256, read_images, stored, write_images
from synthood.common.names import Names
from synthood.common.tensors import read_tensors
from synthood.data.leaks.drop_leaks import main

TRAIN = smooth(20, seed=11)
OWN = smooth(10, seed=12)
TEST = np.concatenate([OWN[:4], TRAIN[:3], OWN[4:], np.stack([as_jpeg(image) for image in TRAIN[3:5]])])
LABELS = np.arange(len(TEST)) % 3
KEPT = [0, 1, 2, 3, 7, 8, 9, 10, 11, 12]


@pytest.fixture
def train(tmp_path):
    path = tmp_path / "train.safetensors"
    write_images(path, ImageSet(TRAIN, np.arange(20) % 3, ["a", "b", "c"]))
    return path


def dropped(source, *against):
    target = source.parent / "without_leaks" / source.name
    main(["--images", str(source), "--against", *map(str, against), "--output", str(target)])
    return target


def test_exact_and_near_copies_leave_and_the_others_stay_as_they_were(train, tmp_path, capsys):
    columns = {"seed": np.arange(len(TEST))}
    facts = ImageFacts.of(TEST, 28, "JPEG")
    names = [f"ü {index}.png" for index in range(len(TEST))]
    made = ImageSet(TEST, LABELS, ["a", "b", "c"], columns, ["told before"], facts, Names.of(names))
    write_images(tmp_path / "test.safetensors", made)
    made = read_images(dropped(tmp_path / "test.safetensors", train))
    np.testing.assert_array_equal(made.images, TEST[KEPT])
    np.testing.assert_array_equal(made.labels, LABELS[KEPT])
    np.testing.assert_array_equal(made.columns["seed"], KEPT)
    assert made.names is not None
    assert made.names.texts() == [names[index] for index in KEPT]
    np.testing.assert_array_equal(made.columns["pixel_sha256"], pixel_sha256(TEST[KEPT]))
    assert made.notes == ["told before", "5 images left out that stand in train"]
    assert made.facts == facts  # those of all images, since no image has its own
    assert "10 of 15 images" in capsys.readouterr().out


def test_an_image_that_stands_in_several_parts_leaves_once(train, tmp_path):
    write_images(tmp_path / "val.safetensors", ImageSet.out_of_distribution(np.concatenate([TRAIN[:1], OWN[:1]])))
    write_images(tmp_path / "far.safetensors", ImageSet.out_of_distribution(TEST))
    made = read_images(dropped(tmp_path / "far.safetensors", train, tmp_path / "val.safetensors"))
    np.testing.assert_array_equal(made.images, TEST[KEPT[1:]])
    assert made.notes == ["5 images left out that stand in train", "2 images left out that stand in val"]


def test_large_images_stay_encoded(tmp_path):
    large = smooth(8, seed=13, side=80)
    write_images(tmp_path / "train.safetensors", ImageSet.out_of_distribution(large[2:4]))
    source = tmp_path / "test.safetensors"
    names = Names.of([f"{index}.png" for index in range(8)])
    write_encoded(source, iter(large), 1, lambda: (np.arange(8) % 2, {"classes": ["a", "b"]}), lambda: names)
    target = dropped(source, tmp_path / "train.safetensors")
    assert is_encoded(target)
    images, arrays, header = open_encoded(target)
    np.testing.assert_array_equal(images[:], large[[0, 1, 4, 5, 6, 7]])
    assert arrays["labels"].tolist() == [0, 1, 0, 1, 0, 1]
    assert header["classes"] == ["a", "b"]
    assert header["notes"] == ["2 images left out that stand in train"]
    left = stored(target)[1]
    assert left is not None
    assert left.texts() == [f"{index}.png" for index in (0, 1, 4, 5, 6, 7)]


def test_without_leaks_the_set_stays(train, tmp_path):
    write_images(tmp_path / "far.safetensors", ImageSet.out_of_distribution(OWN))
    target = dropped(tmp_path / "far.safetensors", train)
    made, given = map(read_tensors, (target, tmp_path / "far.safetensors"))
    assert made[1] == given[1]
    assert {name: array.tobytes() for name, array in made[0].items()} == {
        name: array.tobytes() for name, array in given[0].items()
    }


def test_a_set_of_nothing_but_leaks_is_refused(train, tmp_path, capsys):
    write_images(tmp_path / "far.safetensors", ImageSet.out_of_distribution(TRAIN[:4]))
    with pytest.raises(SystemExit):
        dropped(tmp_path / "far.safetensors", train)
    assert "every image stands in ID parts as well; take another set" in capsys.readouterr().err
    assert not (tmp_path / "without_leaks" / "far.safetensors").exists()

"""Synthetic images made elsewhere, from files to blocks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synthood.common.images import ImageSet, write_images
from synthood.errors import SynthoodError
from synthood.generators import fit_generator, ready_made
from synthood.generators.block_settings import BlockSettings
from synthood.generators.folder import Description
from synthood.generators.kinds.ready_made import ReadyMadeReading
from synthood.generators.synthesise import main, synthesise

CLASSES = ["cat", "dog", "owl"]


def pictures(labels: list[int], side: int = 8) -> np.ndarray:
    """Images whose first pixel is their number, so that each is known again."""
    images = np.random.default_rng(0).integers(0, 256, (len(labels), side, side, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels))
    return images


def of_npz(folder: Path, labels: list[int], side: int = 8, **more: Any) -> ReadyMadeReading:
    path = folder / "set.npz"
    np.savez(path, images=pictures(labels, side), labels=np.array(labels, np.int64), **more)
    return reading({"kind": "arrays", "path": str(path)})


def reading(source: dict[str, Any], **more: Any) -> ReadyMadeReading:
    return ReadyMadeReading.parse(json.dumps({"kind": "ready-made", "source": source, **more}))


def block(folder: Path, number: int, size: int, count: int) -> ImageSet:
    values = {"generator": {"kind": "ready-made"}, "block": number, "block_size": size, "count": count}
    return synthesise(folder, BlockSettings.parse(json.dumps(values)))


def adopted(settings: ReadyMadeReading, folder: Path, side: int = 8, classes: list[str] = CLASSES) -> int:
    found = ready_made.read(settings.source, settings.classes, side, 1)
    return ready_made.adopt(found, settings.seed, classes, folder)


LABELS = [2, 0, 0, 1, 2, 1, 0, 2, 1, 0]


def test_images_take_turns_by_class_and_each_stands_once(tmp_path: Path) -> None:
    count = adopted(of_npz(tmp_path, LABELS), tmp_path / "made")
    assert count == 3  # the rarest class; one of class 0 is left over
    blocks = [block(tmp_path / "made", number, 4, size).check("block") for number, size in ((0, 4), (1, 4), (2, 1))]
    labels = np.concatenate([one.labels for one in blocks])
    source = np.concatenate([one.columns["source"] for one in blocks])
    numbers = np.concatenate([one.images[:, 0, 0, 0] for one in blocks])
    assert labels.tolist() == [0, 1, 2] * 3
    assert source.tolist() == numbers.tolist()
    assert [LABELS[index] for index in source] == labels.tolist()
    assert len(set(source.tolist())) == 9
    assert blocks[0].classes == CLASSES


def test_the_order_is_the_seeds(tmp_path: Path) -> None:
    settings = of_npz(tmp_path, LABELS * 5)
    orders = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        adopted(settings.model_copy(update={"seed": seed}), folder)
        orders.append(block(folder, 0, 45, 45).columns["source"].tolist())
    assert orders[0] == orders[1] != orders[2]


def test_more_images_than_there_are_is_an_error(tmp_path: Path) -> None:
    adopted(of_npz(tmp_path, LABELS), tmp_path / "made")
    with pytest.raises(SynthoodError, match="made: 3 images of each class are there; ask for at most as many"):
        block(tmp_path / "made", 1, 6, 6)


def test_arrays_of_the_release_of_sio(tmp_path: Path) -> None:
    """images.npy beside labels.npy, no names: labels are in the ID classes' order; resized."""
    np.save(tmp_path / "images.npy", pictures(LABELS, 16))
    np.save(tmp_path / "labels.npy", np.array(LABELS))
    settings = reading({"kind": "arrays", "path": str(tmp_path / "images.npy")})
    adopted(settings, tmp_path / "made")
    made = block(tmp_path / "made", 0, 9, 9)
    assert made.images.shape == (9, 8, 8, 3)
    assert [LABELS[index] for index in made.columns["source"]] == made.labels.tolist()


def test_labels_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", pictures(LABELS))
    np.save(tmp_path / "labels.npy", np.array(LABELS) + 0.7)
    with pytest.raises(SynthoodError, match=r"label 2.7 of image 0 is not a whole number"):
        adopted(reading({"kind": "arrays", "path": str(tmp_path / "images.npy")}), tmp_path / "made")


@pytest.mark.parametrize("where", ["stored", "configured"])
def test_names_reorder_labels(tmp_path: Path, where: str) -> None:
    names = ["owl", "cat", "dog"]
    settings = of_npz(tmp_path, LABELS, **({"classes": np.array(names)} if where == "stored" else {}))
    if where == "configured":
        settings = settings.model_copy(update={"classes": names})
    adopted(settings, tmp_path / "made")
    made = block(tmp_path / "made", 0, 9, 9)
    assert [names[LABELS[index]] for index in made.columns["source"]] == [CLASSES[label] for label in made.labels]


def test_an_empty_list_of_names_is_none(tmp_path: Path) -> None:
    assert adopted(of_npz(tmp_path, LABELS, classes=np.array([], dtype="<U1")), tmp_path / "made") == 3


def test_folders_of_classes(tmp_path: Path) -> None:
    for name, count in (("owl", 2), ("cat", 3), ("dog", 2)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(count):
            shade = CLASSES.index(name) * 100
            Image.new("RGB", (12, 12), (shade, index, 0)).save(tmp_path / "set" / name / f"{index}.png")
    assert adopted(reading({"kind": "folders", "path": str(tmp_path / "set")}), tmp_path / "made") == 2
    made = block(tmp_path / "made", 0, 6, 6)
    assert made.images.shape == (6, 8, 8, 3)
    assert (made.images[:, 0, 0, 0] // 100).tolist() == made.labels.tolist() == [0, 1, 2] * 2
    assert made.names is not None
    files = [f"{CLASSES[shade // 100]}/{index}.png" for shade, index in made.images[:, 0, 0, :2].tolist()]
    assert made.names.texts() == files
    last = block(tmp_path / "made", 1, 4, 2).names
    assert last is not None
    assert last.texts() == files[4:]


@pytest.mark.parametrize(
    ("labels", "names", "told"),
    [
        ([0, 1, 0, 1], None, r"its classes are not the ID classes \(no image of owl\)"),
        ([0, 1, 2, 3], None, "label 3, but labels of 3 classes run from 0 to 2"),
        ([0, 1, 2], ["cat", "dog", "cow"], r"\(no image of owl; not ID: cow\)"),
        ([0, 1, 2, 3], ["cat", "dog", "owl", "cow"], r"\(not ID: cow\)"),
    ],
)
def test_a_label_set_that_does_not_match_is_an_error(
    tmp_path: Path, labels: list[int], names: list[str] | None, told: str
) -> None:
    settings = of_npz(tmp_path, labels).model_copy(update={"classes": names})
    with pytest.raises(SynthoodError, match=told):
        adopted(settings, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_arrays_without_labels_are_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=pictures([0, 1, 2]))
    with pytest.raises(SynthoodError, match="no labels; put `labels` into the file"):
        adopted(reading({"kind": "arrays", "path": str(tmp_path / "set.npz")}), tmp_path / "made")


def test_a_pickle_in_the_array_is_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=pictures([0, 1, 2]), labels=np.array([{}, 1, 2], dtype=object))
    with pytest.raises(SynthoodError, match=r"not an \.npz file with plain arrays"):
        adopted(reading({"kind": "arrays", "path": str(tmp_path / "set.npz")}), tmp_path / "made")


def test_another_size_asked_for_is_an_error(tmp_path: Path) -> None:
    settings = of_npz(tmp_path, LABELS, side=16)
    source = settings.source.model_copy(update={"size": 12})
    with pytest.raises(SynthoodError, match=r"images of \(12, 12\) pixels, the ID images have 8"):
        adopted(settings.model_copy(update={"source": source}), tmp_path / "made")


def test_stages_from_file_to_block(tmp_path: Path) -> None:
    """A block that is cut short is written anew, to the same bytes."""
    settings = of_npz(tmp_path, LABELS)
    write_images(tmp_path / "train.safetensors", ImageSet(pictures([0, 1, 2]), np.arange(3), CLASSES))
    whole = json.dumps({"generator": json.loads(settings.canonical())})
    made, file = tmp_path / "made", tmp_path / "block0.safetensors"
    fit_generator.main(
        ["--settings", whole, "--train", str(tmp_path / "train.safetensors"), "--output", str(made), "--raw", "x"]
    )
    assert Description.read(made) == Description("ready-made", CLASSES)
    of_block = json.dumps({"generator": {"kind": "ready-made"}, "block": 0, "block_size": 6, "count": 6})
    command = ["--settings", of_block, "--generator", str(made), "--output", str(file)]
    main(command)
    first = file.read_bytes()
    file.write_bytes(first[:100])
    main(command)
    assert file.read_bytes() == first


def test_labels_by_number_are_those_of_classes_named_by_number(tmp_path: Path) -> None:
    names = [str(number) for number in range(12)]
    settings = of_npz(tmp_path, list(range(12)) * 2)
    adopted(settings, tmp_path / "made", classes=names)
    labels = block(tmp_path / "made", 0, 24, 24).labels
    source = block(tmp_path / "made", 0, 24, 24).columns["source"]
    assert [int(names[label]) for label in labels] == [index % 12 for index in source]
    with pytest.raises(SynthoodError, match="labels by number are ambiguous, since the ID class 10 is number 2"):
        adopted(settings, tmp_path / "other", classes=sorted(names))

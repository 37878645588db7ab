"""The shipped configuration for images of one's own, from a folder to the tables."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, ImageDraw

from checkouts import PROJECT, Workflow, checkout
from synthood.common.images import read_images

pytestmark = pytest.mark.workflow
CONFIG = PROJECT / "configs" / "own-images.yaml"
PER_CLASS = 40


def picture(name, random):
    """A shape in a colour of its own on a light ground, of any size."""
    width, height = (int(side) for side in random.integers(40, 90, 2))
    image = Image.new("RGB", (width, height), tuple(random.integers(180, 256, 3).tolist()))
    left, top = random.integers(2, 10, 2).tolist()
    box = (left, top, width - left, height - top)
    colour = tuple(random.integers(0, 140, 3).tolist())
    pen = ImageDraw.Draw(image)
    match name:
        case "circle":
            pen.ellipse(box, fill=colour)
        case "bars":
            for x in range(0, width, 8):
                pen.rectangle((x, top, x + 3, box[3]), fill=colour)
        case "triangle":
            pen.polygon([(left, box[3]), (width // 2, top), (box[2], box[3])], fill=colour)
        case _:
            pen.line((left, top, *box[2:]), fill=colour, width=6)
            pen.line((left, box[3], box[2], top), fill=colour, width=6)
    return image


@pytest.fixture(scope="module")
def own(tmp_path_factory, stages) -> Workflow:
    """A checkout in which the configuration has run on four classes of coloured shapes, two epochs and one seed."""
    workflow = checkout(tmp_path_factory.mktemp("own") / "checkout", stages)
    random = np.random.default_rng(0)
    for name in ("circle", "bars", "triangle", "other"):
        folder = workflow.place / "data" / "my-images" / name
        folder.mkdir(parents=True)
        for i in range(PER_CLASS + 20 * (name == "bars")):
            image = picture(name, random)
            how = "L" if (name, i) == ("circle", 0) else "RGBA" if (name, i) == ("circle", 1) else "RGB"
            image.convert(how).save(folder / f"{i:02}.png")
    raw = yaml.safe_load(CONFIG.read_text())
    raw["tables"]["own"] |= {"seeds": [0], "resamples": 50}
    raw["recipes"]["ce"]["epochs"] = 12
    workflow.config = raw
    done = workflow.run()
    assert done.returncode == 0, done.stdout
    return workflow


def test_tables_come_out_and_say_which_evidence_is_real(own):
    table = pd.read_csv(own.place / "results/tables/own.csv")
    auroc = table[table["metric"] == "auroc"]
    assert set(auroc["set"]) == {"other", "photos", "textures", "noise", "near", "far"}
    assert auroc["mean"].between(10, 100).all()
    accuracy = table[table["metric"] == "id_accuracy"].set_index("recipe")["mean"]
    assert accuracy["ce"] > 60
    note = (own.place / "results/tables/own.md").read_text()
    assert "near other (real: held-out classes other)" in note
    assert "textures (computed); noise (computed)" in note
    assert "chosen on: computed from ID images" in note


def test_mixed_images_become_parts_of_the_classes_that_are_taught(own):
    folder = own.place / "results/own/images"
    parts = {part: read_images(folder / f"{part}.safetensors") for part in ("train", "val", "test", "other")}
    assert parts["train"].classes == ["bars", "circle", "triangle"]
    counts = {part: np.bincount(parts[part].labels).tolist() for part in ("train", "val", "test")}
    assert counts == {"train": [48, 32, 32], "val": [6, 4, 4], "test": [6, 4, 4]}
    assert len(parts["other"]) == PER_CLASS
    assert all(images.images.shape[1:] == (32, 32, 3) for images in parts.values())
    notes = [note for part in ("train", "val", "test") for note in parts[part].notes]
    assert sum(note == "1 grey images became RGB" for note in notes) == 1
    assert sum(note == "1 images lost their alpha channel" for note in notes) == 1
    assert all(any("became 32x32" in note for note in images.notes) for images in parts.values())
    log = (own.place / "results/logs/prepare/own/train.log").read_text()
    assert "112 images of 3 classes; 32 of circle to 48 of bars" in log


def test_leaks_and_the_contact_sheet_are_made(own):
    counts = pd.read_csv(own.place / "results/own/leaks.csv").set_index(["part", "other"])
    assert set(counts.index.get_level_values("part")) == {
        "train", "val", "test", "ood_validation", "other", "photos", "textures", "noise",
    }  # fmt: skip
    assert counts.loc[("train", "noise"), ["exact", "near"]].tolist() == [0, 0]
    assert counts["exact"].sum() == 0
    assert len(counts) == 8 * 7
    with Image.open(own.place / "results/own/images/sheet.png") as sheet:
        assert min(sheet.size) > 600


def test_normalisation_is_that_of_the_own_training_images(own):
    from safetensors import safe_open

    with safe_open(own.place / "results/own/models/ce/seed0/model.safetensors", framework="numpy") as file:
        header = json.loads(file.metadata()["synthood"])
    pixels = read_images(own.place / "results/own/images/train.safetensors").images.reshape(-1, 3) / 255
    np.testing.assert_allclose(header["mean"], pixels.mean(0), atol=1e-4)
    np.testing.assert_allclose(header["deviation"], pixels.std(0), atol=1e-4)

"""Shifted sets: ID classes in other circumstances, whose labels are the taught classes'."""

import numpy as np
import pytest

from synthood.config.load import load
from synthood.data.prepare import prepare
from synthood.data.settings import DatasetSettings
from synthood.errors import SynthoodError
from synthood.workflow.plan import Plan

CLASSES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def pictures(draw, tmp_path):
    """ID images of four classes in folders and lists, and a shifted set of two of them."""
    for name in CLASSES:
        for number in range(4):
            draw(f"id/{name}/{number}.png")
    found = {name: [draw(f"shifted/{name}/{number}.png") for number in range(2)] for name in ("dog", "bee")}
    for part, number in (("train", 0), ("val", 1), ("test", 2)):
        lines = [f"id/{name}/{number}.png {label}" for label, name in enumerate(CLASSES)]
        (tmp_path / f"{part}.txt").write_text("\n".join(lines))
    shifted = [f"shifted/{name}/{n}.png {CLASSES.index(name)}" for name in ("dog", "bee") for n in range(2)]
    (tmp_path / "shifted.txt").write_text("\n".join(shifted))
    rows = [f"shifted/{name}/{n}.png,{name}" for name in ("dog", "bee") for n in range(2)]
    (tmp_path / "shifted.csv").write_text("\n".join(["path,label", *rows]))
    return found


def dataset(place, kind, **sections):
    lists = {part: f"{place}/{part}.txt" for part in ("train", "val", "test")}
    sources = {
        "folders": {"kind": "folders", "path": f"{place}/shifted"},
        "manifest": {"kind": "manifest", "path": f"{place}/shifted.csv"},
        "imglist": {"kind": "imglist", "path": str(place), "list": f"{place}/shifted.txt"},
    }
    folders = {"kind": "folders", "path": f"{place}/id", "train_per_class": 1, "val_per_class": 1}
    noise = {"kind": "noise", "images": 3}
    return {
        "id": {"kind": "imglist", "path": str(place), **lists} if kind == "imglist" else folders,
        "near": {"noise": noise},
        "far": {"photos": {"kind": "photo-patches", "images": 3}},
        "shifted": {"dusk": sources[kind]},
        "ood_validation": noise | {"seed": 1},
    } | sections


def plan(demo, settings, **table):
    demo["datasets"] = {"own": settings}
    demo["tables"] = {
        "t": {"datasets": ["own"], "recipes": ["ce"], "seeds": [0], "detectors": ["msp"], "baselines": ["ce"]} | table
    }
    demo["recipes"] = {"ce": demo["recipes"]["ce"]}
    for section in ("generators", "outliers", "assess"):
        demo.pop(section, None)
    return Plan(load(demo | {"build": ["t"]}))


@pytest.mark.parametrize("kind", ["folders", "manifest", "imglist"])
def test_labels_are_those_of_the_taught_classes(demo, pictures, tmp_path, kind):
    made = prepare(plan(demo, dataset(tmp_path, kind)).settings_of_part("own", "dusk"))
    assert made.classes == list(CLASSES)
    found = {CLASSES[label]: set() for label in made.labels}
    for image, label in zip(made.images, made.labels, strict=True):
        found[CLASSES[label]].add(image.tobytes())
    assert found == {name: {image.tobytes() for image in images} for name, images in pictures.items()}


def test_a_class_that_is_not_taught_is_an_error_that_names_it(demo, draw, pictures, tmp_path):
    draw("shifted/emu/0.png")
    with pytest.raises(SynthoodError, match=r"shifted: images of emu, which is none of the classes .*ant, bee"):
        prepare(plan(demo, dataset(tmp_path, "folders")).settings_of_part("own", "dusk"))


def test_a_label_beyond_the_taught_classes_is_an_error_that_names_it(demo, pictures, tmp_path):
    (tmp_path / "shifted.txt").write_text("shifted/dog/0.png 4")
    with pytest.raises(SynthoodError, match=r"shifted\.txt: label 4 of shifted/dog/0\.png is not one of the 4 classes"):
        prepare(plan(demo, dataset(tmp_path, "imglist")).settings_of_part("own", "dusk"))


def test_sets_that_do_not_tell_their_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shifted\.dusk: of kind noise .* must be folders"):
        DatasetSettings.model_validate(dataset(tmp_path, "folders", shifted={"dusk": {"kind": "noise", "images": 2}}))


def test_shifted_sets_are_scored_and_tables_of_the_full_spectrum_count_them_as_id(demo, pictures, tmp_path):
    made = plan(demo, dataset(tmp_path, "folders"), full_spectrum=True)
    wildcards = type("Wildcards", (), {"dataset": "own", "table": "t", "recipe": "ce"})
    assert "results/own/images/dusk.safetensors" in made.evaluated(wildcards)
    assert made.score_settings(wildcards).shifted == ["dusk"]
    assert made.tabulate_settings(wildcards).shifted == made.plot_settings(wildcards).shifted == {"own": ["dusk"]}


def test_a_table_without_the_full_spectrum_does_not_depend_on_shifted_sets(demo, pictures, tmp_path):
    made = plan(demo, dataset(tmp_path, "folders"))
    wildcards = type("Wildcards", (), {"dataset": "own", "table": "t", "recipe": "ce"})
    assert made.tabulate_settings(wildcards).shifted == made.plot_settings(wildcards).shifted == {}


def test_a_full_spectrum_without_shifted_sets_is_refused(demo, pictures, tmp_path):
    with pytest.raises(SynthoodError, match=r"tables\.t\.datasets\.0: 'own' has no `shifted` sets"):
        plan(demo, dataset(tmp_path, "folders", shifted={}), full_spectrum=True)


def test_labels_are_renumbered_by_name(tmp_path):
    from synthood.data.files.listing import Listing

    listing = Listing(np.zeros((3, 1, 1, 3), np.uint8), np.array([0, 1, 0]), ["dog", "ant"], "x")
    assert listing.labelled_as(list(CLASSES)).labels.tolist() == [3, 0, 3]


@pytest.mark.parametrize("kind", ["folders", "imglist"])
def test_numbers_of_a_list_count_the_held_out_classes_too(demo, pictures, tmp_path, kind):
    shifted = {"dusk": {"kind": "imglist", "path": str(tmp_path), "list": f"{tmp_path}/shifted.txt"}}
    if kind == "folders":
        held = {"near": {"ants": {"kind": "held-out-classes", "classes": ["ant"]}}}
        settings = dataset(tmp_path, kind, shifted=shifted, **held)
    else:
        settings = dataset(tmp_path, kind, shifted=shifted)
    made = prepare(plan(demo, settings).settings_of_part("own", "dusk"))
    found = {name: {i.tobytes() for i in made.images[made.labels == made.classes.index(name)]} for name in pictures}
    assert found == {name: {image.tobytes() for image in images} for name, images in pictures.items()}
    held = {"bees": {"kind": "held-out-classes", "classes": ["bee"]}}
    if kind == "folders":
        with pytest.raises(SynthoodError, match="images of bee, which is none of the classes"):
            prepare(plan(demo, dataset(tmp_path, kind, shifted=shifted, near=held)).settings_of_part("own", "dusk"))


def test_a_list_with_names_is_matched_by_name(demo, pictures, tmp_path):
    lines = [f"shifted/{name}/{n}.png {label}" for label, name in enumerate(("dog", "bee")) for n in range(2)]
    (tmp_path / "shifted.txt").write_text("\n".join(lines))
    source = {"kind": "imglist", "path": str(tmp_path), "list": f"{tmp_path}/shifted.txt", "classes": ["dog", "bee"]}
    made = prepare(plan(demo, dataset(tmp_path, "folders", shifted={"dusk": source})).settings_of_part("own", "dusk"))
    assert [made.classes[label] for label in made.labels] == ["dog", "dog", "bee", "bee"]


def test_labels_by_number_meet_folders_by_their_number(demo, draw, tmp_path):
    pixels = {}
    for number in range(12):
        for i in range(4):
            draw(f"id/{number}/{i}.png")
        pixels[number] = draw(f"shifted/{number}.png")
    (tmp_path / "shifted.txt").write_text("\n".join(f"shifted/{number}.png {number}" for number in (11, 2, 5)))
    shifted = {"dusk": {"kind": "imglist", "path": str(tmp_path), "list": f"{tmp_path}/shifted.txt"}}
    settings = dataset(tmp_path, "folders", shifted=shifted)
    made = prepare(plan(demo, settings).settings_of_part("own", "dusk"))
    assert [made.classes[label] for label in made.labels] == ["11", "2", "5"]
    (tmp_path / "id/0").rename(tmp_path / "id/12")
    with pytest.raises(SynthoodError, match="labels by number are ambiguous, since the ID class 1 is number 0"):
        prepare(plan(demo, settings).settings_of_part("own", "dusk"))

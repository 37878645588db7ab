"""Classes that leave the ID images and make OOD sets, whatever the kind of source."""

import numpy as np
import pytest

from synthood.config.load import load
from synthood.data.evidence import evidence
from synthood.data.overlap_settings import AllowedOverlap
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import prepare
from synthood.data.raw import raw_paths
from synthood.data.settings import DatasetSettings
from synthood.errors import SynthoodError
from synthood.workflow.plan import Plan

CLASSES = ("ant", "bee", "cat", "dog")
PER_CLASS = 20


@pytest.fixture
def pictures(draw, tmp_path):
    """Pixels by class of a folder with a subfolder for each, of a table of its files, and of two arrays."""
    found = {name: [draw(f"all/{name}/{i:02}.png") for i in range(PER_CLASS)] for name in CLASSES}
    rows = [f"all/{name}/{i:02}.png,{name}" for name in CLASSES for i in range(PER_CLASS)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label", *rows]))
    images, labels = np.concatenate(list(map(np.stack, found.values()))), np.repeat(np.arange(4), PER_CLASS)
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", images=images, labels=labels)
    return {name: {image.tobytes() for image in images} for name, images in found.items()}


def source(kind, place):
    return {
        "folders": {"kind": "folders", "path": f"{place}/all"},
        "manifest": {"kind": "manifest", "path": f"{place}/table.csv"},
        "arrays": {
            "kind": "arrays",
            "train": f"{place}/train.npz",
            "test": f"{place}/test.npz",
            "classes": list(CLASSES),
            "val_per_class": 5,
        },
    }[kind]


def config(demo, kind, place, **sections):
    """The demo's configuration on these images, with the class bee held out and dog for validation."""
    dataset = {
        "id": source(kind, place),
        "near": {"bees": {"kind": "held-out-classes", "classes": ["bee"]}},
        "far": {"noise": {"kind": "noise", "images": 3}},
        "ood_validation": {"kind": "held-out-classes", "classes": ["dog"]},
    }
    demo["datasets"] = {"own": dataset | sections}
    demo["tables"] = {
        "t": {"datasets": ["own"], "recipes": ["ce"], "seeds": [0], "detectors": ["msp"], "baselines": ["ce"]}
    }
    demo["recipes"] = {"ce": demo["recipes"]["ce"]}
    for section in ("generators", "outliers", "assess"):
        demo.pop(section, None)
    return demo | {"build": ["t"]}


def made(plan, part):
    settings = plan.settings_of_part("own", part)
    assert PartSettings.parse(settings.canonical()) == settings
    return prepare(settings)


@pytest.mark.parametrize("kind", ["folders", "manifest", "arrays"])
def test_held_out_classes_are_ood_and_nowhere_else(demo, pictures, tmp_path, kind):
    plan = Plan(load(config(demo, kind, tmp_path)))
    parts = {part: made(plan, part) for part in ("train", "val", "test", "bees", "ood_validation")}
    pixels = {part: {image.tobytes() for image in images.images} for part, images in parts.items()}
    assert pixels["bees"] == pictures["bee"]
    assert pixels["ood_validation"] == pictures["dog"]
    assert pixels["train"] | pixels["val"] | pixels["test"] == pictures["ant"] | pictures["cat"]
    for part in ("train", "val", "test"):
        assert parts[part].classes == ["ant", "cat"]
        for label, name in enumerate(("ant", "cat")):
            chosen = parts[part].images[parts[part].labels == label]
            assert {image.tobytes() for image in chosen} <= pictures[name]
            assert len(chosen)
    assert (parts["bees"].labels == -1).all()
    assert parts["bees"].classes == []


@pytest.mark.parametrize("kind", ["folders", "manifest", "arrays"])
def test_the_other_classes_are_shared_out_as_without(demo, pictures, tmp_path, kind):
    plan = Plan(load(config(demo, kind, tmp_path)))
    for part in ("train", "val", "test"):
        whole = prepare(PartSettings.model_validate({"part": part, "source": source(kind, tmp_path)}))
        without = made(plan, part)
        left = np.isin(whole.labels, [0, 2])
        np.testing.assert_array_equal(without.images, whole.images[left])
        np.testing.assert_array_equal(without.labels, whole.labels[left] // 2)


def test_of_a_divided_source_the_images_of_all_splits_are_held_out(draw, tmp_path):
    pixels = {part: {} for part in ("train", "val", "test")}
    for part in pixels:
        for name in CLASSES:
            pixels[part][name] = [draw(f"{part}/{name}/{i}.png") for i in range(4)]
    source = {"kind": "folders", "path": str(tmp_path)}
    held = PartSettings.model_validate({"part": "b", "ood": True, "held_out": ["bee", "dog"], "source": source})
    wanted = {image.tobytes() for split in pixels.values() for name in ("bee", "dog") for image in split[name]}
    assert {image.tobytes() for image in prepare(held).images} == wanted
    assert len(prepare(held)) == len(wanted) == 24
    assert raw_paths(held) == [tmp_path]
    chosen = held.model_copy(update={"held_out_splits": ["test"]})
    np.testing.assert_array_equal(prepare(chosen).images, np.stack(pixels["test"]["bee"] + pixels["test"]["dog"]))


def test_of_arrays_both_files_are_held_out(tmp_path):
    random = np.random.default_rng(0)
    images = {name: random.integers(0, 256, (12, 8, 8, 3), np.uint8) for name in ("train", "test")}
    labels = np.repeat(np.arange(4), 3)
    for name, pixels in images.items():
        np.savez(tmp_path / f"{name}.npz", images=pixels, labels=labels)
    values = {"part": "b", "ood": True, "held_out": ["dog", "bee"], "source": source("arrays", tmp_path)}
    held = PartSettings.model_validate(values)
    chosen = np.isin(labels, [1, 3])
    np.testing.assert_array_equal(
        prepare(held).images, np.concatenate([images["train"][chosen], images["test"][chosen]])
    )
    assert raw_paths(held) == [tmp_path / "train.npz", tmp_path / "test.npz"]
    only = held.model_copy(update={"held_out_splits": ["train"]})
    np.testing.assert_array_equal(prepare(only).images, images["train"][chosen])
    assert raw_paths(only) == [tmp_path / "train.npz"]
    with pytest.raises(SynthoodError, match=r"no split val there \(train, test\); take `splits` away"):
        prepare(held.model_copy(update={"held_out_splits": ["val"]}))


def test_splits_of_held_out_classes_are_chosen_in_the_configuration(demo, draw, tmp_path):
    for part in ("train", "test"):
        for name in CLASSES:
            for i in range(4):
                draw(f"all/{part}/{name}/{i}.png")
    held = {"kind": "held-out-classes", "classes": ["bee"]}
    for splits, count in (([], 8), (["test"], 4), (["train", "test"], 8)):
        near = {"bees": held | ({"splits": splits} if splits else {})}
        plan = Plan(load(config(demo, "folders", tmp_path, near=near)))
        assert len(made(plan, "bees")) == count
        assert len(made(plan, "ood_validation")) == 8
    near = {"bees": held | {"splits": ["test"]}}
    undivided = Plan(
        load(config(demo, "folders", tmp_path, near=near, id={"kind": "folders", "path": f"{tmp_path}/all/test"}))
    )
    with pytest.raises(SynthoodError, match=r"no split test there \(no splits\)"):
        made(undivided, "bees")


def test_names_are_equal_in_any_unicode_form(demo, draw, tmp_path):
    for name in ("caf\u00e9", "b", "c", "dog"):
        for i in range(4):
            draw(f"all/{name}/{i}.png")
    near = {"cafe": {"kind": "held-out-classes", "classes": ["cafe\u0301"]}}
    plan = Plan(load(config(demo, "folders", tmp_path, near=near)))
    assert len(made(plan, "cafe")) == 4
    assert made(plan, "train").classes == ["b", "c"]


def test_jobs_that_a_held_out_class_does_not_concern_stay(demo, tmp_path):
    first = Plan(load(config(demo, "folders", tmp_path)))
    other = {"kind": "held-out-classes", "classes": ["ant"]}
    second = Plan(load(config(demo, "folders", tmp_path, ood_validation=other)))
    texts = [
        {part: plan.settings_of_part("own", part).canonical() for part in plan.parts()} for plan in (first, second)
    ]
    assert {part for part in texts[0] if texts[0][part] != texts[1][part]} == {"train", "val", "test", "ood_validation"}
    assert '"held_out"' not in texts[0]["train"]


def test_classes_that_are_known_beforehand_are_counted(demo, tmp_path):
    settings = load(config(demo, "arrays", tmp_path)).datasets["own"]
    assert settings.taught.class_count == 2
    assert settings.id.class_count == 4
    folders = source("folders", tmp_path) | {"classes": list(CLASSES)}
    assert load(config(demo, "folders", tmp_path, id=folders)).datasets["own"].taught.class_count == 2
    assert load(config(demo, "folders", tmp_path)).datasets["own"].taught.class_count is None
    cifar = {"kind": "cifar10", "path": "data"}
    assert load(config(demo, "folders", tmp_path, id=cifar)).datasets["own"].taught.class_count == 8


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"near": {"b": {"kind": "held-out-classes", "classes": ["bee", "dog"]}}}, "'dog' is given twice"),
        ({"near": {"b": {"kind": "held-out-classes", "classes": ["bees"]}}}, "'bees' cannot be left out"),
        ({"near": {"b": {"kind": "held-out-classes", "classes": ["ant", "bee"]}}}, "two classes must remain"),
        ({"near": {"b": {"kind": "held-out-classes", "classes": []}}}, "near.b.classes"),
        (
            {"id": {"kind": "digits", "classes": [0, 1], "train_per_class": 5, "val_per_class": 5}},
            "none can be taken out of ID images of kind digits",
        ),
    ],
)
def test_what_cannot_be_held_out_is_told_before_any_job(demo, tmp_path, sections, message):
    with pytest.raises(SynthoodError, match=message):
        load(config(demo, "arrays", tmp_path, **sections))


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (["bee", "eel"], "no class 'eel' to be left out"),
        (["ant", "bee", "cat"], "two classes must remain"),
    ],
)
def test_what_only_the_data_tells_is_told_by_prepare(pictures, tmp_path, left_out, message):
    source = {"kind": "folders", "path": f"{tmp_path}/all", "except_classes": left_out}
    with pytest.raises(SynthoodError, match=message):
        prepare(PartSettings.model_validate({"part": "train", "source": source}))


@pytest.mark.parametrize("role", ["near", "far"])
def test_one_role_of_sets_is_enough_for_a_plan(demo, pictures, tmp_path, role):
    sets = config(demo, "folders", tmp_path)["datasets"]["own"][role]
    plan = Plan(load(config(demo, "folders", tmp_path, **{"near": {}, "far": {}, role: sets})))
    settings = plan._scoring("own", {})
    assert {"near": settings.near, "far": settings.far} == {"near": [], "far": [], role: list(sets)}
    told = evidence(plan.config.datasets["own"])
    assert told.startswith(f"OOD sets: {role} ")
    assert ("near" if role == "far" else "far") not in told.split(".")[0]


def test_the_evidence_is_named_for_what_it_is():
    settings = DatasetSettings.model_validate(
        {
            "id": {"kind": "folders", "path": "a"},
            "near": {"bees": {"kind": "held-out-classes", "classes": ["bee", "wasp"]}},
            "far": {
                "svhn": {"kind": "svhn", "path": "data"},
                "photos": {"kind": "photo-patches", "images": 3},
                "noise": {"kind": "noise", "images": 3},
            },
            "ood_validation": {"kind": "shuffled-quadrants", "images": 3},
        }
    )
    assert evidence(settings) == (
        "OOD sets: near bees (real: held-out classes bee, wasp), far svhn (images as supplied); "
        "photos (real: patches of two photographs); noise (computed). "
        "Hyperparameters are chosen on: computed from ID images."
    )
    shared = [AllowedOverlap(parts=["train", "svhn"]), AllowedOverlap(parts=["test", "svhn"], images=3)]
    told = evidence(settings.model_copy(update={"allow_overlap": shared}))
    assert told.endswith(". May share images: train and svhn (any number); test and svhn (at most 3).")

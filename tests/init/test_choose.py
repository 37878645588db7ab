"""What a configuration for inspected images says."""

import numpy as np
import pytest

from synthood.errors import SynthoodError
from synthood.init.choose import Options, Trained, calibrated_by, choose, frozen, suits_pretrained
from synthood.init.inspect import Inspected
from synthood.init.layout import Layout


def folder(counts, side=112, square=True, **more):
    """A folder of classes with so many images each, shared out 80:10:10."""
    of_class = np.array(list(counts.values()))
    shares = {"val": of_class // 10, "test": of_class // 10}
    values = {
        "layout": Layout({"kind": "folders", "path": "photos"}, "a folder per class"),
        "classes": list(counts),
        "counts": {"train": of_class - 2 * (of_class // 10), **shares},
        "sides": np.full(int(of_class.sum()), side),
        "square": square,
        "grey": 0,
        "decoded": int(of_class.sum()),
        "bad": [],
        "notes": [],
        "repeated": [],
        "near": [],
    }
    return Inspected(**values | more)


TEN = dict.fromkeys("abcdefghij", 200)


@pytest.mark.parametrize(
    ("side", "square", "options", "size"),
    [
        (28, True, {}, 28),
        (28, False, {}, 32),
        (64, True, {}, 64),
        (80, True, {}, 64),
        (112, False, {}, 96),
        (500, False, {}, 96),
        (500, False, {"gpu": True}, 224),
        (500, False, {"size": 48}, 48),
    ],
)
def test_the_size_follows_the_median_side(side, square, options, size):
    assert choose(folder(TEN, side, square), Options(**options)).source["size"] == size


@pytest.mark.parametrize(
    ("side", "images", "gpu", "network"),
    [
        (28, 20, False, {"name": "resnet8"}),
        (28, 3000, False, {"name": "resnet8"}),
        (28, 3000, True, {"name": "resnet18", "width": 64}),
        (64, 20, False, {"name": "resnet8", "stem": 64}),
        (112, 200, False, {"name": "resnet18", "width": 32, "stem": 224}),
    ],
)
def test_the_network_follows_the_size_and_the_count(side, images, gpu, network):
    found = folder(dict.fromkeys("abcd", images), side)
    assert choose(found, Options(gpu=gpu)).recipe["network"] == network


def test_two_of_many_classes_are_drawn_by_the_seed_and_said_loudly():
    counts = TEN | {"rare": 10, "common": 900}
    drawn = {tuple(choose(folder(counts), Options(seed=seed)).held_out) for seed in range(30)}
    assert all(len(names) == 2 for names in drawn)
    assert len(drawn) > 10
    assert not {"rare", "common"} & {name for names in drawn for name in names}
    chosen = choose(folder(counts), Options(seed=3))
    assert chosen.held_out == choose(folder(counts), Options(seed=3)).held_out
    assert chosen.warnings[0].startswith(f"THE EXPORTED MODEL WILL NOT KNOW {', '.join(chosen.held_out)}: drawn to ")


@pytest.mark.parametrize(
    ("counts", "asked", "names", "loud"),
    [
        (TEN, ["none"], [], False),
        (TEN | {"none": 30}, ["none"], ["none"], False),
        (TEN, ["c", "a"], ["c", "a"], False),
        (TEN | {"Other": 30}, None, ["Other"], False),
        ({"a": 100, "b": 100}, None, [], True),
        ({"a": 100, "other": 100}, None, [], True),
        ({"a": 10, "b": 10, "c": 10}, None, [], True),
    ],
)
def test_held_out_classes_are_those_asked_for_or_named_so(counts, asked, names, loud):
    chosen = choose(folder(counts), Options(asked))
    assert chosen.held_out == names
    assert any(text.startswith("no near OOD set") for text in chosen.warnings) is loud


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["d"], "--held-out d: no class of this name (known: a, b, c)"),
        (["a", "b"], "--held-out a, b: two of the 3 classes must remain"),
    ],
)
def test_classes_that_cannot_be_held_out_are_refused(asked, message):
    with pytest.raises(SynthoodError) as caught:
        choose(folder(dict.fromkeys("abc", 100)), Options(asked))
    assert str(caught.value) == message


def test_no_class_is_drawn_from_those_that_a_model_knows():
    trained = Trained({"kind": "checkpoint"}, 64, "", side=32, learns=False)
    chosen = choose(folder(TEN), Options(), trained)
    assert (chosen.held_out, chosen.source["size"], chosen.detectors["vim"]["dimension"]) == ([], 32, 32)


def test_calibration_images_are_a_part_of_their_own_where_there_are_enough():
    assert calibrated_by(200)[:2] == ("split", [0.01, 0.05, 0.1])
    assert calibrated_by(199)[:2] == ("cross", [0.01, 0.05, 0.1])
    assert calibrated_by(60)[:2] == ("cross", [0.05, 0.1])
    assert calibrated_by(9)[:2] == ("cross", [0.1])
    assert calibrated_by(8)[:2] == ("cross", [])


def test_a_quick_answer_takes_few_images_and_epochs():
    chosen = choose(folder(TEN | {"rare": 40}), Options(["none"], quick=True))
    assert chosen.source["train_per_class"] == 32
    assert (chosen.recipe["epochs"], chosen.seeds, chosen.ood_images) == (5, [0], 100)
    assert "quick" in chosen.reasons["train_per_class"]
    assert "quick" in chosen.reasons["epochs"]


def test_bad_images_and_copies_are_dealt_with():
    found = folder(TEN, bad=["a.jpg: empty"], repeated=[("a", "b", False)])
    chosen = choose(found, Options())
    assert (chosen.source["on_bad_image"], chosen.drop_copies) == ("skip", True)


def test_photo_patches_are_no_larger_than_the_photographs():
    assert choose(folder(TEN), Options(size=427)).far == ["photo-patches", "textures", "noise"]
    assert choose(folder(TEN), Options(size=428)).far == ["textures", "noise"]


def test_uneven_classes_are_reported():
    warnings = choose(folder(TEN | {"many": 800}), Options(["none"])).warnings
    assert warnings == ("classes are uneven, 160 to 640 training images: the rare ones are learned less",)


@pytest.mark.parametrize(("largest", "balanced"), [(996, False), (1000, True)])
def test_the_loss_weighs_classes_that_are_uneven_by_five_to_one(largest, balanced):
    """Of 200 and 996 images 160 and 798 are training images, of 1,000 five times as many as of 200."""
    counts, keep = TEN | {"many": largest}, Options(["none"])
    given = frozen({"name": "timm/x", "pretrained": True}, 1280, "installed")
    for trained in (None, given):
        chosen = choose(folder(counts), keep, trained)
        assert (chosen.recipe.get("class_weights") == "balanced") == balanced
    assert ("the loss weighs them alike" in chosen.warnings[0]) == balanced
    assert chosen.reasons["class_weights"].startswith(f"a class has 160 to {800 if balanced else 798} training images")
    known = Trained({"kind": "checkpoint", "network": {"name": "resnet8"}}, 64, "", learns=False)
    assert "class_weights" not in choose(folder(counts), keep, known).recipe
    assert "class_weights" not in choose(folder(counts), Options(["none"], quick=True)).recipe


def test_a_head_on_pretrained_features_is_trained_with_several_seeds():
    given = frozen({"name": "timm/x", "pretrained": True}, 1280, "installed")
    chosen = choose(folder(TEN), Options(seed=4), given)
    assert chosen.recipe["network"] == {"name": "timm/x", "pretrained": True, "freeze": "backbone"}
    assert (chosen.seeds, chosen.detectors["vim"]["dimension"]) == ([4, 5, 6], 256)
    assert len(chosen.held_out) == 2
    few = choose(folder(dict.fromkeys("ab", 20)), Options(quick=True), given)
    assert (few.recipe["batch_size"], few.seeds) == (32, [0])


def test_pretrained_features_are_for_photographs():
    assert suits_pretrained(folder(TEN), Options())
    assert not suits_pretrained(folder(TEN), Options(size=32))
    assert not suits_pretrained(folder(TEN, grey=2000), Options())

"""Settings of datasets: bounds, roles and parts."""

import json

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits

from synthood.data.part_settings import PartSettings
from synthood.data.settings import DatasetSettings
from synthood.data.sources.computed import Noise, PhotoPatches, Textures
from synthood.data.sources.digits import Digits, IdDigits, Nuisance
from synthood.data.sources.shuffled_quadrants import ShuffledQuadrants

NOISE = Noise(kind="noise", images=3)
ID = IdDigits(kind="digits", classes=[0, 4], train_per_class=5, val_per_class=2)


def dataset(**more):
    parts = {
        "id": ID,
        "extra": {"e": Digits(kind="digits", classes=[1])},
        "near": {"n": Digits(kind="digits", classes=[2])},
        "far": {"f": NOISE},
        "ood_validation": ShuffledQuadrants(kind="shuffled-quadrants", images=4),
    }
    return DatasetSettings(**(parts | more))


def test_roles_and_parts():
    settings = dataset(far={"f": NOISE, "g": Textures(kind="textures", images=1)})
    assert settings.ood_sets == ["n", "f", "g"]
    assert settings.evaluated_parts == ["train", "val", "test", "ood_validation", "n", "f", "g"]
    assert [settings.source(part) for part in ("train", "val", "test")] == [ID] * 3
    assert settings.source("ood_validation") == ShuffledQuadrants(kind="shuffled-quadrants", images=4)
    assert settings.source("e") == Digits(kind="digits", classes=[1])
    assert settings.source("g") == Textures(kind="textures", images=1)
    assert settings.id.class_count == 2
    with pytest.raises(KeyError):
        settings.source("none")


def test_the_rarest_digit_keeps_twenty_test_images():
    rarest = int(np.bincount(load_digits().target).min())
    assert rarest == 174
    most = {"kind": "digits", "classes": [8], "train_per_class": 100, "val_per_class": rarest - 20 - 100}
    assert IdDigits(**most).val_per_class == 54
    with pytest.raises(ValidationError, match="must leave 20 test images of the rarest digit, so be at most 154"):
        IdDigits(**(most | {"val_per_class": 55}))


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"rotation": 181.0}, "rotation"),
        ({"rotation": -1.0}, "rotation"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (1.0,)}, "scale"),
        ({"scale": (1.0, 1.0, 1.0)}, "scale"),
        ({"contrast": (-0.5, 1.0)}, "contrast"),
        ({"contrast": (0.5, float("inf"))}, "contrast"),
    ],
)
def test_a_nuisance_has_bounds(values, wrong):
    with pytest.raises(ValidationError) as caught:
        Nuisance(**values)
    assert {error["loc"][0] for error in caught.value.errors()} == {wrong}


@pytest.mark.parametrize("classes", [[], [10], [-1], [True]])
def test_classes_are_digits(classes):
    with pytest.raises(ValidationError, match="classes"):
        Digits(kind="digits", classes=classes)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"near": {"n": Digits(kind="digits", classes=[2, 4])}}, "OOD set n holds digit 4"),
        ({"near": {"n": Digits(kind="digits", classes=[1])}}, "OOD set n holds digit 1"),
        ({"far": {"f": Digits(kind="digits", classes=[9, 0])}}, "OOD set f holds digit 0"),
        ({"far": {"n": NOISE}}, "may stand once and not be one of .*: n"),
        ({"extra": {"f": NOISE}}, "may stand once and not be one of .*: f"),
        ({"near": {"test": NOISE}}, "may stand once and not be one of .*: test"),
        ({"near": {"a/b": NOISE}}, "near.a/b.\\[key\\]\n"),
        ({"near": {}, "far": {}}, "no OOD test set; name one under `near` or `far`"),
    ],
)
def test_sets_are_apart_and_named_once(more, message):
    with pytest.raises(ValidationError, match=message):
        dataset(**more)


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "folders", "path": "a"},
        {"kind": "arrays", "path": "a.npz"},
        {"kind": "imglist", "path": "a", "list": "l.txt"},
        {"kind": "manifest", "path": "a.csv", "split": "x"},
        {"kind": "svhn", "path": "a"},
    ],
    ids=lambda values: values["kind"],
)
def test_files_of_a_test_set_are_not_validation_at_another_size(values):
    with pytest.raises(ValidationError, match="ood_validation and f share images, since both are made from"):
        dataset(far={"f": values}, ood_validation=values | {"size": 32})
    other = {key: value + "2" for key, value in values.items() if key not in ("kind", "split")}
    assert dataset(far={"f": values}, ood_validation=values | other).far["f"].kind == values["kind"]


def test_sets_share_digits_only_where_that_is_allowed():
    sets = {"far": {"f": Digits(kind="digits", classes=[2, 3])}, "extra": {}}
    with pytest.raises(
        ValidationError, match=r"n and f share images, since both .* `allow_overlap: \[\{parts: \[n, f\]\}\]`"
    ):
        dataset(**sets)
    assert dataset(**sets, allow_overlap=[{"parts": ["f", "n"]}]).ood_sets == ["n", "f"]
    assert dataset(**(sets | {"far": {"f": Digits(kind="digits", classes=[3])}})).ood_sets == ["n", "f"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"parts": ["n", "g"]}, "allow_overlap: the dataset has no part 'g'"),
        ({"parts": ["n", "n"]}, "n is named twice; name two parts"),
        ({"parts": ["n", "f"], "images": 0}, "images"),
    ],
)
def test_an_allowance_names_two_parts(entry, message):
    with pytest.raises(ValidationError, match=message):
        dataset(allow_overlap=[entry])


@pytest.mark.parametrize(
    "source",
    [
        ID,
        Digits(kind="digits", classes=[3], nuisance=Nuisance(rotation=5.0)),
        PhotoPatches(kind="photo-patches", images=2),
        Textures(kind="textures", images=2, seed=3),
        NOISE,
        ShuffledQuadrants(kind="shuffled-quadrants", images=2),
    ],
    ids=lambda source: type(source).__name__,
)
def test_a_part_comes_back_from_its_text(source):
    before = PartSettings(part="train" if source == ID else "p", source=source, validation=ID)
    after = PartSettings.parse(before.canonical())
    assert after == before
    assert type(after.source) is type(source)


def test_a_part_made_from_validation_images_is_read_back_from_its_text(demo):
    dataset = demo["datasets"]["digits"]
    text = json.dumps({"part": "ood_validation", "source": dataset["ood_validation"], "validation": dataset["id"]})
    settings = PartSettings.parse(text)
    assert PartSettings.parse(settings.canonical()) == settings
    assert settings.validation.nuisance.scale == (0.85, 1.1)


@pytest.mark.parametrize("role", ["near", "far"])
def test_near_or_far_sets_alone_are_enough(role):
    settings = dataset(**{role: {}})
    assert settings.ood_sets == list(settings.near) + list(settings.far)
    assert len(settings.ood_sets) == 1
    values = json.loads(settings.canonical())
    assert role not in values
    assert DatasetSettings.parse(json.dumps(values)) == settings

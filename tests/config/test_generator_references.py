"""Generators' keys that exclude each other, and the classifiers that their fits and filters use."""

import pytest

from synthood.config.load import load
from synthood.errors import SynthoodError

HINGE = {"objective": "hinge", "steps": 10, "watch": {"classifier": "ce"}}
FILTER = {"classifier": "ce", "attempts_per_class": 150}
READY = {"kind": "ready-made", "source": {"kind": "arrays", "path": "a.npz"}, "images_per_class": 5, "block_size": 5}


@pytest.mark.parametrize(
    "edits",
    [
        {"generators/biggan/fit": HINGE},
        {"generators/biggan/filter": FILTER},
        {"generators/ready": READY},
        {"generators/biggan/fit": None, "generators/biggan/pretrained": {"from": "biggan-deep-128"}},
        {"generators/biggan/filter": FILTER | {"attempts_per_class": 100}},
    ],
)
def test_these_are_valid(edited, edits):
    assert load(edited(edits)).generators["biggan"]


WRONG = {
    "unknown filter classifier": (
        {"generators/biggan/filter": FILTER | {"classifier": "cc"}},
        "generators.biggan.filter.classifier: no recipe is named 'cc'; did you mean 'ce'?",
    ),
    "the former variant": (
        {"generators/biggan/variant": "paper"},
        "generators.biggan: `variant` no longer exists; remove it, and where it was `paper` write `filter: null`",
    ),
    "the judge filters": (
        {"generators/biggan/filter": FILTER | {"classifier": "judge"}},
        "generators.biggan.filter.classifier: is the judge, which must have no part in what it judges",
    ),
    "the judge watches": (
        {"generators/biggan/fit": HINGE | {"watch": {"classifier": "judge"}}},
        "generators.biggan.fit.watch.classifier: is the judge, which must have no part in what it judges",
    ),
    "synthetic images teach the filter": (
        {"generators/biggan/filter": FILTER | {"classifier": "sio-sd"}},
        "generators.biggan.filter.classifier: recipe 'sio-sd' must learn from real images alone",
    ),
    "fewer attempts than images": (
        {"generators/biggan/filter": FILTER | {"attempts_per_class": 99}},
        "generators.biggan: filter.attempts_per_class 99 is below images_per_class 100",
    ),
    "neither fitted nor pretrained": (
        {"generators/biggan/fit": None},
        "generators.biggan: a BigGAN has either `fit` or `pretrained`; give one of them",
    ),
    "both": (
        {"generators/biggan/pretrained": {"from": "x"}},
        "generators.biggan: a BigGAN has either `fit` or `pretrained`; give one of them",
    ),
    "a key of the other objective": (
        {"generators/biggan/fit": HINGE | {"adversarial_from": 0.5}},
        "generators.biggan.fit.adversarial_from: unknown key",
    ),
    "unknown objective": (
        {"generators/biggan/fit": {"objective": "hing", "steps": 3}},
        "generators.biggan.fit: unknown kind 'hing'",
    ),
    "no WordNet id": (
        {
            "generators/biggan/fit": None,
            "generators/biggan/pretrained": {"from": "x", "class_ids": {"zero": ["cat"]}},
        },
        "generators.biggan.pretrained.class_ids.zero.0",
    ),
    "no digest": (
        {"generators/biggan/fit": None, "generators/biggan/pretrained": {"from": "x", "sha256": "12"}},
        "generators.biggan.pretrained.sha256: string should match pattern",
    ),
}


@pytest.mark.parametrize(("edits", "told"), WRONG.values(), ids=WRONG)
def test_mistakes_are_told_with_their_path(edited, edits, told):
    with pytest.raises(SynthoodError) as raised:
        load(edited(edits), "my.yaml")
    assert str(raised.value).startswith(f"my.yaml: {told}")


def test_a_circle_through_a_filter_is_told(edited):
    """The filter's classifier starts from a recipe that learns from what it filters."""
    edits = {
        "generators/sd/filter": FILTER | {"classifier": "cutout"},
        "recipes/cutout/warm_start": "sio-sd",
    }
    with pytest.raises(SynthoodError, match=r"goes in a circle \((sio-sd|cutout) -> (sio-sd|cutout) -> "):
        load(edited(edits))

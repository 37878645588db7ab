"""Which classes a pretrained network has seen, by their names."""

import pytest

from synthood.deploy.known_classes import backbone_facts, labels_of, like, words
from synthood.training.networks.pretraining import Pretraining

LABELS = [
    "cowboy hat, ten-gallon hat",
    "running shoe",
    "shoe shop, shoe-shop",
    "jersey, T-shirt, tee shirt",
    "miniskirt",
]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("hat", LABELS[:1]),
        ("Hats", LABELS[:1]),
        ("cowboy_hat", LABELS[:1]),
        ("at", []),
        ("shoes", LABELS[1:2]),
        ("t-shirt", LABELS[3:4]),
        ("long shirt", []),
        ("skirt", LABELS[4:]),
        ("shop", LABELS[2:3]),
        ("", []),
    ],
)
def test_a_name_is_like_labels_that_end_as_it_does(name: str, found: list[str]) -> None:
    assert like(name, LABELS) == found


def test_plurals_are_taken_for_singulars() -> None:
    plurals = ["shoes", "dresses", "boxes", "berries", "bus", "glass", "iris"]
    assert [words(name)[0] for name in plurals] == ["shoe", "dress", "box", "berry", "bus", "glass", "iris"]


def test_the_names_of_imagenet_are_at_hand() -> None:
    names = labels_of("ImageNet-1k")
    assert len(names) >= 1000
    assert any("goldfish" in name for name in names)


def test_what_is_known_depends_on_what_the_weights_were_trained_on() -> None:
    classes = {"held-out": ["hat", "shoes"], "other": ["shoes", "quasar"]}
    began = Pretraining("torchvision/resnet18", "file w.pth", "0" * 64, ["ImageNet-1k"], "head")
    known = backbone_facts(began, classes)
    assert known["compared_with"] == ["ImageNet-1k"]
    assert list(known["alike"]) == ["hat", "shoes", "quasar"]
    assert any("cowboy hat" in name for name in known["alike"]["hat"])
    assert known["alike"]["quasar"] == []
    elsewhere = backbone_facts(Pretraining("timm/x", "timm's lvd142m", None, [], "head"), classes)
    assert (elsewhere["compared_with"], elsewhere["alike"]) == ([], {})

"""Figures of synthetic images that are training images."""

import numpy as np
import pytest

from synthood.common.images import ImageSet
from synthood.generators.assess import assess, heading
from synthood.generators.assess_settings import AssessSettings
from synthood.training.model import Classifier
from synthood.training.networks import build
from synthood.training.settings import Network

CLASSES = ["cat", "dog"]


def image_set(count: int, seed: int) -> ImageSet:
    images = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int64) % 2, CLASSES)


@pytest.fixture
def judge() -> Classifier:
    settings = Network(name="resnet8", width=8)
    return Classifier(settings, CLASSES, [0.5] * 3, [0.25] * 3, build(settings, 2, seed=0))


def test_copies_are_told(judge: Classifier) -> None:
    train = image_set(10, 0)
    figures, nearest = assess(train, train, image_set(12, 1), judge, AssessSettings(judge="plain", shift=1))
    assert nearest.tolist() == list(range(10))
    assert figures["images"] == 10
    assert figures["copy_share"] == figures["diversity"] == 1.0
    assert figures["within_class_distance"] == figures["within_class_distance_real"] > 5
    assert figures["nearest_training_median"] < 0.05
    assert figures["nearest_training_median_held_out"] > 5


def test_held_out_images_are_no_copies(judge: Classifier) -> None:
    """Synthetic and held-out images the same: a median and an accuracy alike, hardly a copy."""
    made = image_set(12, 1)
    figures, _ = assess(made, image_set(10, 0), made, judge, AssessSettings(judge="plain", shift=1))
    assert figures["copy_share"] == pytest.approx(1 / 12, abs=1e-4)
    assert figures["nearest_training_median"] == figures["nearest_training_median_held_out"]
    assert figures["agreement"] == figures["judge_accuracy"]


def test_heading_names_three_figures() -> None:
    told = heading("biggan", {"agreement": 0.9432, "diversity": 0.876, "copy_share": 0.0125, "images": 10})
    assert told == "biggan: agreement 94.3%, diversity 0.88 of real, copies 1.2%"

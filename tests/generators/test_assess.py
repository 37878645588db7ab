"""Figures of synthetic images that are training images."""

import numpy as np
import pytest

from synthood.common.images import ImageSet
from synthood.common.json import finite_json
from synthood.generators.assess import assess, first_real, heading
from synthood.generators.assess_settings import AssessSettings
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier

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
    figures, nearest = assess(train, train, image_set(12, 1), judge, AssessSettings(judge="plain", max_shift=1))
    assert nearest.tolist() == list(range(10))
    assert figures["images"] == 10
    assert figures["copy_share"] == figures["diversity"] == 1.0
    assert figures["within_class_distance"] == figures["within_class_distance_real"] > 5
    assert figures["nearest_training_median"] < 0.05
    assert figures["nearest_training_median_held_out"] > 5


def test_held_out_images_are_no_copies(judge: Classifier) -> None:
    """Synthetic and held-out images the same: a median and an accuracy alike, hardly a copy."""
    made = image_set(12, 1)
    figures, _ = assess(made, image_set(10, 0), made, judge, AssessSettings(judge="plain", max_shift=1))
    assert figures["copy_share"] == pytest.approx(1 / 12, abs=1e-4)
    assert figures["nearest_training_median"] == figures["nearest_training_median_held_out"]
    assert figures["agreement"] == figures["judge_accuracy"]


def test_heading_names_the_figures_that_matter() -> None:
    figures = {"agreement": 0.9432, "diversity": 0.876, "copy_share": 0.0125, "images": 10}
    features = {"n": 241, "fid": {"value": 0.7989}, "floor": {"fid": {"value": 0.3933}}}
    told = heading("biggan", figures | {"features": {"classifier": features}})
    assert told == (
        "biggan: agreement 94.3%, diversity 0.88 of real, copies 1.2%, classifier FID 0.799 (real images 0.393, N 241)"
    )


def test_figures_of_each_class_and_a_class_without_images(judge: Classifier) -> None:
    """All images of class 0: half of them one picture twice, so less diverse; none of class 1."""
    train, made = image_set(12, 0), image_set(4, 1)
    made.labels[:] = 0
    made.images[1] = made.images[0]
    figures, _ = assess(made, train, image_set(12, 2), judge, AssessSettings(judge="plain", max_shift=0))
    zero, one = figures["by_class"]["cat"], figures["by_class"]["dog"]
    assert (zero["images"], one["images"]) == (4, 0)
    assert zero["diversity"] == pytest.approx(5 / 6, abs=0.05)
    assert zero["agreement"] == pytest.approx(figures["agreement"], abs=1e-4)
    assert np.isnan([one["diversity"], one["agreement"]]).all()
    assert finite_json(figures)["by_class"]["dog"] == {"images": 0, "agreement": None, "diversity": None}


def test_first_real_images_of_each_class() -> None:
    real = first_real(image_set(10, 0), 2)
    assert real.labels.tolist() == [0, 0, 1, 1]
    assert np.array_equal(real.images, image_set(10, 0).images[[0, 2, 1, 3]])

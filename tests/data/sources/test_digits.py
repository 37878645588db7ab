"""Digit images: their pixels, their split, their nuisance."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from synthood.common.images import ImageSet
from synthood.data.sources import digits
from synthood.data.sources.digits import (
    WORDS,
    Digits,
    IdDigits,
    Nuisance,
    enlarged,
    extra_digits,
    id_split,
    of_classes,
    rgb,
    transformed,
)
from synthood.data.sources.shuffled_quadrants import ShuffledQuadrants

ALL = list(range(10))
COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def id_digits(classes, train=80, val=20, **more):
    return IdDigits(kind="digits", classes=classes, train_per_class=train, val_per_class=val, **more)


def of_digits(classes, **more):
    return Digits(kind="digits", classes=classes, **more)


def keys(images):
    return [image.tobytes() for image in images]


@pytest.fixture(scope="module")
def clean():
    """All digits without nuisance: every image is unlike every other, so its bytes name it."""
    images, labels = of_classes(of_digits(ALL))
    assert len(set(keys(images))) == len(images) == 1797
    return images, labels


@pytest.fixture
def drawn(monkeypatch):
    """Makes every draw of a nuisance the same number in [0, 1]."""

    class Fixed:
        def __init__(self, value):
            self.value = value

        def random(self, shape):
            return np.full(shape, self.value)

    return lambda value: monkeypatch.setattr(digits.np.random, "default_rng", lambda *_: Fixed(value))


@pytest.fixture
def picture():
    return np.random.default_rng(3).random((2, 32, 32)).astype(np.float32)


def test_images_are_torchs_bilinear_interpolation_of_the_digits(clean):
    images, labels = clean
    source = load_digits()
    expected = F.interpolate(
        torch.from_numpy(source.images)[:, None], (32, 32), mode="bilinear", align_corners=False
    ).numpy()
    assert images.shape == (1797, 32, 32, 3)
    assert images.dtype == np.uint8
    difference = images.astype(float) - (expected[:, 0] / 16 * 255)[..., None]
    assert np.abs(difference).max() <= 1
    assert (labels == source.target).all()
    assert (images[..., 0] == images[..., 1]).all()
    assert (images[..., 0] == images[..., 2]).all()


def test_enlarged_digits_are_float32_within_0_and_1():
    images, labels = enlarged()
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert np.bincount(labels).tolist() == COUNTS


def test_grey_becomes_rgb_by_rounding():
    grey = np.array([[[0.0, 1.0], [0.5, 0.002], [-0.3, 1.7]]], np.float32)
    assert rgb(grey).tolist() == [
        [[[0] * 3, [255] * 3], [[128] * 3, [1] * 3], [[0] * 3, [255] * 3]],
    ]


def test_classes_are_chosen_in_scikit_learns_order_and_labelled_by_position(clean):
    images, labels = of_classes(of_digits([7, 2]))
    target = load_digits().target
    chosen = np.isin(target, [2, 7])
    assert keys(images) == keys(clean[0][chosen])
    assert labels.tolist() == [{7: 0, 2: 1}[digit] for digit in target[chosen]]
    assert labels.dtype == np.int64


@pytest.fixture(scope="module")
def parts():
    return id_split(id_digits([0, 3, 8]))


def test_the_split_has_exact_counts_per_class(parts):
    assert list(parts) == ["train", "val", "test"]
    assert np.bincount(parts["train"].labels).tolist() == [80, 80, 80]
    assert np.bincount(parts["val"].labels).tolist() == [20, 20, 20]
    assert np.bincount(parts["test"].labels).tolist() == [COUNTS[digit] - 100 for digit in (0, 3, 8)]
    assert all(part.classes == ["zero", "three", "eight"] for part in parts.values())


def test_the_split_takes_every_image_once_with_its_label(parts, clean):
    digit_of = dict(zip(keys(clean[0]), clean[1], strict=True))
    found = [key for part in parts.values() for key in keys(part.images)]
    assert len(found) == len(set(found)) == COUNTS[0] + COUNTS[3] + COUNTS[8]
    for part in parts.values():
        assert [digit_of[key] for key in keys(part.images)] == [[0, 3, 8][label] for label in part.labels]
        place = {key: index for index, key in enumerate(keys(clean[0]))}
        order = [place[key] for key in keys(part.images)]
        assert order == sorted(order)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(parts):
    again = id_split(id_digits([0, 3, 8]))
    other = id_split(id_digits([0, 3, 8], seed=1))
    for name, part in parts.items():
        assert part.images.tobytes() == again[name].images.tobytes()
        assert (part.labels == again[name].labels).all()
        assert set(keys(part.images)) != set(keys(other[name].images))


def test_a_nuisance_does_not_move_images_between_parts(parts):
    dimmed = id_split(id_digits([0, 3, 8], nuisance=Nuisance(contrast=(0.5, 0.5))))
    for name, part in parts.items():
        assert (dimmed[name].labels == part.labels).all()
        assert np.abs(dimmed[name].images - part.images / 2).max() <= 0.75  # the two roundings


def test_one_more_class_leaves_the_split_of_the_others(parts):
    more = id_split(id_digits([0, 3, 8, 5], nuisance=Nuisance(rotation=20, scale=(0.9, 1.1))))
    few = id_split(id_digits([0, 3, 8], nuisance=Nuisance(rotation=20, scale=(0.9, 1.1))))
    for name in parts:
        assert keys(more[name].images[more[name].labels < 3]) == keys(few[name].images)


def test_a_smaller_training_part_is_within_the_larger(parts):
    smaller = id_split(id_digits([0, 3, 8], train=50))
    assert set(keys(smaller["train"].images)) < set(keys(parts["train"].images))


def test_extra_digits_are_all_images_of_their_classes_and_none_of_the_others(parts, clean):
    extra = extra_digits(of_digits([9, 6]))
    assert extra.classes == ["nine", "six"]
    assert np.bincount(extra.labels).tolist() == [COUNTS[9], COUNTS[6]]
    assert set(keys(extra.images)) == set(keys(clean[0][np.isin(clean[1], [6, 9])]))
    assert not set(keys(extra.images)) & {key for part in parts.values() for key in keys(part.images)}


def test_words_are_the_digits_names():
    assert WORDS == ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def test_rotation_by_90_degrees_is_rot90_in_either_direction(picture, drawn):
    for value, turns in ((1.0, 1), (0.0, -1), (0.5, 0)):  # +90, -90 and 0 degrees
        drawn(value)
        turned = transformed(picture, Nuisance(rotation=90.0), seed=0)
        np.testing.assert_allclose(turned, np.rot90(picture, turns, axes=(1, 2)), atol=1e-5)
    assert np.abs(np.rot90(picture, 1, axes=(1, 2)) - np.rot90(picture, -1, axes=(1, 2))).max() > 0.5


def test_half_the_size_averages_two_by_two_pixels(picture, drawn):
    drawn(0.0)
    small = transformed(picture, Nuisance(scale=(0.5, 1.0)), seed=0)
    expected = picture.reshape(2, 16, 2, 16, 2).mean((2, 4))
    np.testing.assert_allclose(small[:, 8:24, 8:24], expected, atol=1e-5)


def test_twice_the_size_shows_the_middle(drawn):
    drawn(1.0)
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32) / 32, (1, 32, 32))
    large = transformed(ramp, Nuisance(scale=(1.0, 2.0)), seed=0)
    np.testing.assert_allclose(large[0, 5], (15.5 + (np.arange(32) - 15.5) / 2) / 32, atol=1e-5)


def test_contrast_stays_within_its_bounds_and_fills_them():
    images = np.ones((400, 4, 4), np.float32)
    factor = transformed(images, Nuisance(contrast=(0.6, 0.9)), seed=5)
    assert (factor == factor[:, :1, :1]).all()
    factor = factor[:, 0, 0]
    assert 0.6 <= factor.min() < 0.61
    assert 0.89 < factor.max() <= 0.9
    assert abs(factor.mean() - 0.75) < 0.02


def test_rotations_fill_their_bounds_on_both_sides():
    line = np.zeros((300, 33, 33), np.float32)
    line[:, 16, 16:] = 1  # from the centre to the right
    turned = transformed(line, Nuisance(rotation=30.0), seed=2)
    y, x = np.meshgrid(np.arange(33) - 16, np.arange(33) - 16, indexing="ij")
    ahead = x > 6
    angle = np.rad2deg(np.arctan2(-(turned * y * ahead).sum((1, 2)), (turned * x * ahead).sum((1, 2))))
    assert -30.5 < angle.min() < -28
    assert 28 < angle.max() < 30.5


def test_image_i_gets_draw_i_however_many_images(picture):
    nuisance = Nuisance(rotation=90.0, scale=(0.5, 1.5), contrast=(0.5, 1.0))
    both = transformed(picture, nuisance, seed=4)
    assert (transformed(picture[:1], nuisance, seed=4) == both[:1]).all()
    assert np.abs(transformed(picture, nuisance, seed=5) - both).max() > 0.05
    assert (transformed(picture, Nuisance(), seed=4) == picture).all()


@pytest.fixture(scope="module")
def validation():
    images = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
    return ImageSet(images, np.array([0, 1, 0]), ["a", "b"])


def quadrants(image):
    half = len(image) // 2
    return [image[top : top + half, left : left + half].tobytes() for top in (0, half) for left in (0, half)]


def test_shuffled_quadrants_keep_pixels_and_never_their_order(validation):
    shuffled = ShuffledQuadrants(kind="shuffled-quadrants", images=300).shuffled(validation)
    assert shuffled.images.shape == (300, 4, 4, 3)
    assert shuffled.labels.tolist() == [-1] * 300
    assert shuffled.classes == []
    seen = set()
    for index, image in enumerate(shuffled.images):
        source = quadrants(validation.images[index % 3])
        order = tuple(source.index(quadrant) for quadrant in quadrants(image))
        assert sorted(order) == [0, 1, 2, 3]
        seen.add(order)
    assert seen == set(itertools.permutations(range(4))) - {(0, 1, 2, 3)}


def test_shuffled_quadrants_depend_on_the_seed_alone(validation):
    def shuffled(**more):
        return ShuffledQuadrants(kind="shuffled-quadrants", images=50, **more).shuffled(validation).images

    assert shuffled().tobytes() == shuffled(seed=0).tobytes()
    assert shuffled().tobytes() != shuffled(seed=1).tobytes()


def test_shuffled_digits_keep_each_images_multiset_of_pixels():
    source = id_split(id_digits([0, 1], val=10))["val"]
    shuffled = ShuffledQuadrants(kind="shuffled-quadrants", images=20).shuffled(source)
    for before, after in zip(source.images, shuffled.images, strict=True):
        assert (np.sort(before, axis=None) == np.sort(after, axis=None)).all()
        assert before.tobytes() != after.tobytes()


@pytest.mark.parametrize(("height", "width"), [(9, 9), (8, 11), (5, 4)])
def test_quadrants_of_odd_sides_leave_the_middle_where_it_is(height, width):
    images = np.arange(2 * height * width * 3).reshape(2, height, width, 3).astype(np.uint8)
    source = ImageSet(images, np.zeros(2, np.int64), ["a"])
    shuffled = ShuffledQuadrants(kind="shuffled-quadrants", images=60).shuffled(source).images
    assert shuffled.shape == (60, height, width, 3)
    half, across = height // 2, width // 2
    for index, image in enumerate(shuffled):
        before = images[index % 2]
        assert (np.sort(image, axis=None) == np.sort(before, axis=None)).all()
        assert image.tobytes() != before.tobytes()
        np.testing.assert_array_equal(image[half : height - half], before[half : height - half])
        np.testing.assert_array_equal(image[:, across : width - across], before[:, across : width - across])
    assert images.tobytes() == np.arange(2 * height * width * 3).astype(np.uint8).tobytes()

"""The three-sample test of data copying."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from synthood.generators.quality.memorisation import copying, nearest_distance, rank_statistic


def test_nearest_distance_by_hand() -> None:
    training = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert nearest_distance(np.array([[0.0, 1.0], [3.0, 4.0]]), training).tolist() == [1.0, 0.0]


def test_rank_statistic_is_mann_and_whitneys() -> None:
    made, held_out = np.array([0.1, 0.5, 0.9, 1.4]), np.array([0.3, 0.7, 1.1, 1.2, 2.0])
    u = mannwhitneyu(made, held_out).statistic
    assert rank_statistic(made, held_out) == pytest.approx((u - 10) / np.sqrt(20 * 10 / 12))
    assert rank_statistic(held_out, made) == pytest.approx(-rank_statistic(made, held_out))


def test_copies_are_far_below_zero_and_new_images_are_not() -> None:
    random = np.random.default_rng(0)
    training, held_out, new = (random.normal(size=(200, 4)) for _ in range(3))
    copies = training + 0.01 * random.normal(size=(200, 4))
    labels = np.arange(200) % 2
    distances = {name: nearest_distance(x, training) for name, x in (("h", held_out), ("n", new), ("c", copies))}
    assert copying(distances["c"], labels, distances["h"], labels) < -10
    assert abs(copying(distances["n"], labels, distances["h"], labels)) < 3
    assert copying(distances["n"] + 1, labels, distances["h"], labels) > 3


def test_cells_are_weighted_by_their_held_out_images() -> None:
    """A class of twelve images, where made ones are nearer, against one of four, where they are farther."""
    made, held_out = np.arange(8.0), np.concatenate([np.arange(12) + 0.5, np.arange(4) - 9.0])
    made_labels, labels = np.repeat([0, 1], 4), np.repeat([0, 1], [12, 4])
    z = [rank_statistic(made[made_labels == c], held_out[labels == c]) for c in (0, 1)]
    assert copying(made, made_labels, held_out, labels) == pytest.approx((12 * z[0] + 4 * z[1]) / 16)
    assert z[0] < 0 < z[1]


def test_a_class_without_made_images_is_left_out() -> None:
    assert np.isnan(copying(np.ones(2), np.array([1, 1]), np.ones(2), np.array([0, 0])))

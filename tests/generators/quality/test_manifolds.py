"""Precision, recall, density and coverage against brute force."""

import numpy as np
import pytest

from synthood.generators.quality.manifolds import manifold_figures


def brute(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    def radius(points: np.ndarray, k: int) -> list[float]:
        return [sorted(np.linalg.norm(points - p, axis=1))[k] for p in points]

    def inside(x: np.ndarray, centres: np.ndarray, radii: list[float]) -> list[bool]:
        return [bool(np.linalg.norm(x - c) <= r) for c, r in zip(centres, radii, strict=True)]

    wide = [inside(x, real, radius(real, 5)) for x in made]
    return {
        "precision": np.mean([any(inside(x, real, radius(real, 3))) for x in made]),
        "recall": np.mean([any(inside(x, made, radius(made, 3))) for x in real]),
        "density": np.mean([sum(row) for row in wide]) / 5,
        "coverage": np.mean(np.any(wide, axis=0)),
    }


def test_figures_by_brute_force() -> None:
    random = np.random.default_rng(0)
    real, made = random.normal(size=(14, 3)), random.normal(size=(11, 3)) * 0.8 + 0.4
    found = manifold_figures(real.astype(np.float32), made.astype(np.float32))
    assert found == pytest.approx(brute(real, made))
    assert 0 < found["recall"] < 1


def test_the_same_set_is_all_inside_and_a_far_one_outside() -> None:
    points = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    same = manifold_figures(points, points)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    assert set(manifold_figures(points, points + 100).values()) == {0}


def test_a_collapsed_set_is_precise_without_recall() -> None:
    real = np.random.default_rng(2).normal(size=(30, 3)).astype(np.float32)
    found = manifold_figures(real, np.repeat(real[:1], 30, axis=0))
    assert found["precision"] == 1
    assert found["recall"] < 0.1


def test_too_few_images_are_no_numbers() -> None:
    points = np.zeros((5, 3), np.float32)
    assert all(np.isnan(value) for value in manifold_figures(points, points).values())

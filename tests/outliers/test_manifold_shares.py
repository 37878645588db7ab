"""Shares of ID images inside the manifolds and of outliers outside, by hand."""

import math

import numpy as np
import pytest

from synthood.common.tensors import Arrays
from synthood.outliers.manifold_shares import manifold_figures, share


def test_shares_have_wilson_s_interval() -> None:
    """(p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with z = 1.96."""
    found = share(np.array([True] * 9 + [False]))
    z, p, n = 1.959964, 0.9, 10
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    ends = [(p + z**2 / (2 * n) + sign * half) / (1 + z**2 / n) for sign in (-1, 1)]
    assert found == pytest.approx({"share": 0.9, "low": ends[0], "high": ends[1], "of": 10}, abs=1e-5)
    empty = share(np.zeros(0, bool))
    assert empty["of"] == 0
    assert all(math.isnan(empty[key]) for key in ("share", "low", "high"))


def test_figures_by_hand() -> None:
    """Of three held-out images one lies in its own class, a second in another; of four outliers one in a class."""
    found: Arrays = {
        "held_out": np.array([[1.0, 9.0], [1.0, 9.0], [9.0, 9.0]]),
        "held_out_labels": np.array([0, 1, 1]),
        "distances": np.array([[5.0, 9.0], [9.0, 5.0], [5.0, 2.0], [5.0, 5.0]]),
        "edge": np.array([2.0]),
        "quantile": np.array([0.9]),
        "held_out_word_loss": np.array([0.2, 0.4, 0.6], np.float32),
        "held_out_token_loss": np.array([0.1, 0.2, 0.3], np.float32),
    }
    figures = manifold_figures(found)
    assert figures["quantile"] == 0.9
    assert figures["word_loss"] == pytest.approx(0.4)
    assert figures["token_loss"] == pytest.approx(0.2)
    assert figures["held_out_inside"] == share(np.array([True, False, False]))
    assert figures["held_out_inside_any"] == share(np.array([True, True, False]))
    assert figures["outliers_outside_all"] == share(np.array([True, True, True, False]))

"""Colours and dashes: distinct for twenty lines, for colour-blind readers, on white and on dark pages."""

from itertools import combinations

import numpy as np
import pytest

from synthood.reporting.figures.style import COLOURS, STYLES, across, colour, dash, lines_by, marker

TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
SEEN = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""Machado, Oliveira and Fernandes (IEEE TVCG 2009), table of severity 1.0, for linear RGB."""


def linear(text: str) -> np.ndarray:
    """Linear RGB [3] of a colour such as #0a1b2c."""
    values = np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB [3] of linear RGB, D65."""
    ratio = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def luminance(text: str) -> float:
    return float(TO_XYZ[1] @ linear(text))


def test_lab_of_known_colours() -> None:
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


@pytest.mark.parametrize("eyes", SEEN)
def test_twenty_lines_differ_in_dash_or_by_far_in_colour(eyes: str) -> None:
    """CIE76; red and green of matplotlib's first ten colours are 13 apart for deuteranopes."""
    styles = [(dash(i), SEEN[eyes] @ linear(colour(i))) for i in range(20)]
    apart = [np.linalg.norm(lab(one) - lab(other)) for (a, one), (b, other) in combinations(styles, 2) if a == b]
    assert min(apart) > 40


def test_every_pair_of_colour_and_dash_is_unique() -> None:
    assert STYLES == 20 == len({(colour(i), dash(i)) for i in range(STYLES)})
    assert len({marker(i) for i in range(40)}) == 40
    channels = lines_by("recipe", 20)
    assert len(channels["color"]["scale"]["range"]) == len(channels["strokeDash"]["scale"]["range"]) == 20
    assert channels["strokeDash"]["scale"]["range"][0] == [1, 0]  # no gap: a solid line


@pytest.mark.parametrize("ground", ["#ffffff", "#0d1117"])
def test_lines_are_seen_on_white_and_on_dark_pages(ground: str) -> None:
    """At least 3:1, WCAG 2.2, 1.4.11."""
    for one in COLOURS:
        low, high = sorted([luminance(one), luminance(ground)])
        assert (high + 0.05) / (low + 0.05) >= 3


def test_panels_in_a_row() -> None:
    assert [across(n) for n in (1, 2, 3, 4, 5, 6)] == [1, 2, 3, 2, 3, 3]

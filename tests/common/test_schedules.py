"""Learning rates by hand; those of a recipe are tested where it trains."""

import math

import pytest

from synthood.common.schedules import warmed_cosine


def test_warmed_cosine_by_hand() -> None:
    factors = [warmed_cosine(step, 8, 4, last=0.2) for step in range(8)]
    falling = [0.2 + 0.4 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1.0, *falling])
    assert [warmed_cosine(step, 2, 2) for step in range(2)] == [0.5, 1.0]

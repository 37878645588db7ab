"""AURC and AUGRC against their definitions, with ties and weights."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.evaluation.metrics.selective import Augrc, Aurc
from synthood.evaluation.ordered import Order, Weighted
from synthood.evaluation.ranking import aurc, auroc

SAMPLES = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12)


def found(metric: Aurc | Augrc, samples: list[tuple[int, bool, int]]) -> list[float]:
    """Of a weight of one each, and of the weights given."""
    confidence, right, weights = (np.array(column) for column in zip(*samples, strict=True))
    rows = np.stack([np.ones(len(weights), np.int32), weights.astype(np.int32)])
    one = [metric.of(Weighted(Order(confidence.astype(float), np.empty(0)), row[None]), right)[0] for row in rows[:1]]
    if weights.sum():
        one.append(metric.of(Weighted(Order(confidence.astype(float), np.empty(0)), rows[1:]), right)[0])
    return [float(value) for value in one]


def repeated(samples: list[tuple[int, bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    confidence, right, weights = (np.array(column) for column in zip(*samples, strict=True))
    return np.repeat(confidence, weights).astype(float), np.repeat(right, weights)


def test_by_hand() -> None:
    """Right, wrong, right from the most confident down: errors 0, 1/2, 1/3; accepted and wrong 0, 1/3, 1/3."""
    samples = [(1, True, 1), (3, True, 1), (2, False, 1)]
    assert found(Aurc(), samples)[0] == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    trapezoid = (0 / 2 + (0 + 1 / 3) / 2 + 1 / 3) / 3
    assert found(Augrc(), samples)[0] == pytest.approx(trapezoid)


def test_ties_in_expectation() -> None:
    samples = [(1, True, 1), (1, False, 1), (0, True, 1)]
    orders = [[samples[i] for i in order] for order in permutations(range(3)) if order[2] == 2]
    broken = [[(9 - place, right, 1) for place, (_, right, _) in enumerate(order)] for order in orders]
    for metric in (Aurc(), Augrc()):
        assert found(metric, samples)[0] == pytest.approx(np.mean([found(metric, one)[0] for one in broken]))


@settings(max_examples=100, deadline=None)
@given(SAMPLES)
def test_weights_are_repetitions(samples: list[tuple[int, bool, int]]) -> None:
    values = found(Aurc(), samples)
    confidence, right, _ = (np.array(column) for column in zip(*samples, strict=True))
    assert values[0] == pytest.approx(aurc(confidence.astype(float), right))
    if len(values) > 1:
        assert values[1] == pytest.approx(aurc(*repeated(samples)))


@settings(max_examples=100, deadline=None)
@given(SAMPLES)
def test_augrc_is_the_papers_closed_form(samples: list[tuple[int, bool, int]]) -> None:
    values = found(Augrc(), samples)
    if len(values) < 2:
        return
    confidence, right = repeated(samples)
    accuracy = right.mean()
    area = auroc(confidence[right], confidence[~right]) if 0 < accuracy < 1 else 0.5
    assert values[1] == pytest.approx((1 - area) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2)

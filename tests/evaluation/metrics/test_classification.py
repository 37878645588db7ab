"""Metrics of the classifier by hand, and under weights as with repeated samples."""

import numpy as np
import pandas as pd
import pytest

from synthood.evaluation.metrics import classification
from synthood.evaluation.metrics.base import IDMetric
from synthood.evaluation.metrics.classification import Ece, IDAccuracy


def samples(right: list[bool], probability: list[float]) -> pd.DataFrame:
    labels = np.arange(len(right)) % 3
    return pd.DataFrame({"label": labels, "prediction": labels + ~np.array(right), "probability": probability})


def of(metric: IDMetric, right: list[bool], probability: list[float]) -> float:
    return float(metric.of(samples(right, probability), np.ones((1, len(right)), np.int16))[0])


def test_accuracy_by_hand() -> None:
    assert of(IDAccuracy(), [True, True, False, True], [1.0] * 4) == 0.75


def test_ece_of_six_points_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bins: (0, 0.5] holds 0.5 and 0.4 with one right, (0.5, 1] the others with two of four right."""
    monkeypatch.setattr(classification, "BINS", 2)
    found = of(Ece(), [True, False, True, True, False, False], [0.5, 0.4, 0.9, 0.8, 0.6, 1.0])
    assert found == pytest.approx((abs(1 - 0.9) + abs(2 - 3.3)) / 6)


def test_ece_of_a_calibrated_and_of_a_boastful_model() -> None:
    assert of(Ece(), [True, True, True, False], [0.75] * 4) == pytest.approx(0.0)
    assert of(Ece(), [False] * 4, [1.0] * 4) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", [IDAccuracy(), Ece()], ids=lambda metric: metric.kind)
def test_weights_equal_repeated_samples(metric: IDMetric) -> None:
    random = np.random.default_rng(0)
    frame = samples((random.random(40) < 0.6).tolist(), random.random(40).tolist())
    weights = random.multinomial(40, np.full(40, 1 / 40), size=5)
    found = metric.of(frame, weights)
    for value, row in zip(found, weights, strict=True):
        repeated = frame.loc[np.repeat(frame.index, row)]
        assert value == pytest.approx(float(metric.of(repeated, np.ones((1, 40), np.int16))[0]), abs=1e-12)

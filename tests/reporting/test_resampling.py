"""Metrics of resamples against those of a sweep over all thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.evaluation.metrics import OOD_METRICS, Ranking, ood_metrics
from synthood.reporting import resampling
from synthood.reporting.resampling import Resampling
from synthood.reporting.statistics import Resamples

VALUES = st.lists(st.sampled_from([-1.5, -0.25, 0.0, 0.1, 0.2, 3.0]) | st.floats(-2, 2, width=32), min_size=1)


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES, st.integers(1, 7))
def test_every_metric_equals_the_sweeps(ids: list[float], oods: list[float], count: int) -> None:
    one, other = np.array(ids, np.float32), np.array(oods, np.float32)
    resamples = Resamples(count)
    weights = resamples.weights("a/test", len(one)), resamples.weights("a/away", len(other))
    expected = ood_metrics(Ranking(one, other).sweep(*weights))
    found = Resampling(one, other).metrics(*weights, OOD_METRICS)
    assert list(found) == list(OOD_METRICS)
    for name, values in found.items():
        assert values == pytest.approx(expected[name], abs=1e-12)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random, resamples = np.random.default_rng(0), Resamples(25)
    one, other = random.normal(0.5, 1, 40), random.normal(0, 1, 90)
    weights = resamples.weights("a/test", 40), resamples.weights("a/away", 90)
    whole = Resampling(one, other).metrics(*weights, OOD_METRICS)
    monkeypatch.setattr(resampling, "AT_ONCE", 7 * 90)
    pieces = Resampling(one, other).metrics(*weights, OOD_METRICS)
    assert all(np.array_equal(whole[name], pieces[name]) for name in OOD_METRICS)


def test_only_what_is_asked_for() -> None:
    ones = np.ones((3, 4), np.int16)
    found = Resampling(np.arange(4.0), np.arange(4.0) - 1).metrics(ones, ones, ["fpr95_ood_positive"])
    assert {name: values.tolist() for name, values in found.items()} == {"fpr95_ood_positive": [0.75] * 3}

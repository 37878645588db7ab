"""Drift tests against enumeration, scipy and simulation; alarms over simulated months."""

import sys
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthood.deploy import conformal
from synthood.monitor import drift

VALUES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)
FEW = settings(max_examples=60, deadline=None)
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@given(VALUES, VALUES)
@FEW
def test_rank_sum_and_distance_are_those_of_the_definitions(known: list[int], new: list[int]) -> None:
    u, distance = drift.compare(known, new)
    assert u == sum(b < a for a in known for b in new)
    gaps = [abs(sum(b <= x for b in new) * len(known) - sum(a <= x for a in known) * len(new)) for x in known + new]
    assert distance == max(gaps)


def test_stacked_samples_give_what_each_gives() -> None:
    random = np.random.default_rng(0)
    known, new = random.integers(0, 9, (4, 3, 20)), random.integers(-2, 7, (4, 3, 5))
    u, distance = drift.compare(known, new)
    for index in np.ndindex(4, 3):
        assert (u[index], distance[index]) == drift.compare(known[index], new[index])


@pytest.mark.parametrize(("n", "m"), [(5, 3), (4, 4), (1, 6), (7, 1)])
def test_laws_are_those_of_all_orders(n: int, m: int) -> None:
    places = list(combinations(range(n + m), m))
    orders = np.array([[sorted(set(range(n + m)) - set(some)), some][1] for some in places])
    known = np.array([sorted(set(range(n + m)) - set(some)) for some in places])
    u, distance = drift.compare(known, orders)
    assert len(places) == comb(n + m, m)
    for value in range(n * m + 1):
        assert drift.lower(value, n, m) == pytest.approx((u >= value).mean(), abs=1e-12)
        assert drift.changed(value, n, m) == pytest.approx((distance >= value).mean(), abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(40, 7), (37, 41), (120, 60)])
def test_laws_agree_with_scipy(n: int, m: int) -> None:
    random = np.random.default_rng(n)
    for shift in (0.0, 0.5, 1.5):
        known, new = random.normal(size=n), random.normal(size=m) - shift
        u, distance = drift.compare(known, new)
        if n * m <= drift.EXACT_RANKS:
            expected = stats.mannwhitneyu(new, known, alternative="less", method="exact").pvalue
            assert drift.lower(u, n, m) == pytest.approx(expected, rel=1e-6)
        assert drift.changed(int(distance), n, m) == pytest.approx(
            stats.ks_2samp(known, new, method="exact").pvalue, rel=1e-6, abs=1e-11
        )


@pytest.mark.parametrize(("n", "m"), [(90, 90), (600, 6)])
def test_approximate_laws_of_many_images_are_never_the_smaller(n: int, m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an alarm can be raised, below 1 %."""
    exact = drift._rank_tails(n, m)
    monkeypatch.setattr(drift, "EXACT_RANKS", 0)
    small = exact < 0.01
    assert (drift.lower(np.flatnonzero(small), n, m) >= exact[small] * (1 - 1e-9)).all()
    distances = range(1, n * m, max(1, n * m // 50))
    exact_distances = [drift.changed(one, n, m) for one in distances]
    drift.changed.cache_clear()
    monkeypatch.setattr(drift, "EXACT_DISTANCE", 0)
    for one, known in zip(distances, exact_distances, strict=True):
        assert drift.changed(one, n, m) >= known - 1e-9 or known > 0.01
    drift.changed.cache_clear()


def test_rejections_follow_the_law_of_all_orders() -> None:
    n, m, level = 9, 4, 0.2
    rejected = []
    for some in combinations(range(n + m), m):
        known = sorted(set(range(n + m)) - set(some))
        rejected.append((conformal.p_values(known, some) <= level).sum())
    tails = drift.rejection_tails(((m, conformal.rank(level, n), n),))
    assert tails.tolist() == pytest.approx([np.mean(np.array(rejected) >= x) for x in range(m + 2)], abs=1e-12)


def test_groups_reject_independently_and_those_without_calibration_never() -> None:
    tails = drift.rejection_tails(((3, 2, 19), (2, 1, 9), (4, 0, 5)))
    law = [
        sum(
            stats.betabinom.pmf(a, 3, 2, 18) * stats.betabinom.pmf(b, 2, 1, 9)
            for a in range(4)
            for b in range(3)
            if a + b >= x
        )
        for x in range(11)
    ]
    assert tails.tolist() == pytest.approx(law, abs=1e-12)


def test_intervals_and_shares() -> None:
    hits, counts = np.array([0, 3, 10, 7]), np.array([5, 40, 100, 7])
    low, high = drift.wilson(hits, counts)
    for at, (x, n) in enumerate(zip(hits, counts, strict=True)):
        expected = stats.binomtest(int(x), int(n)).proportion_ci(method="wilson")
        assert (low[at], high[at]) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert [float(one) for one in drift.wilson(0, 0)] == [0.0, 1.0]
    assert drift.more_rejected(6, 20, 2, 50) == pytest.approx(
        stats.fisher_exact([[6, 14], [2, 48]], alternative="greater").pvalue
    )
    shifts = drift.class_shifts(np.array([9, 1]), np.array([20, 30]))
    one_sided = [stats.fisher_exact([[9, 1], [20, 30]], alternative=side).pvalue for side in ("less", "greater")]
    assert shifts.tolist() == pytest.approx([2 * min(one_sided)] * 2)


def test_all_periods_together_spend_no_more_than_everything() -> None:
    spent = (1 / drift.factor(np.arange(1, 10_001))).cumsum()
    assert spent[-1] == pytest.approx(1 - 1 / 10_001)


def test_the_change_is_found_where_means_differ_most() -> None:
    means = np.array([0.5, 0.52, 0.49, 0.5, 0.3, 0.33, 0.31])
    counts = np.array([20, 50, 20, 20, 30, 20, 20])
    assert drift.onset(means * counts, counts) == 4


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> object:
    """benchmarks/monitor.py, which simulates months with new calibration images each."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import monitor

    yield monitor
    del sys.modules["monitor"]


@pytest.mark.parametrize("images", [15, 60])
def test_false_alarms_of_100_months_are_no_more_than_the_level(benchmark, images: int) -> None:
    """Before a drift that begins on day 16, which is found on that day or the next where there are images enough."""
    known, new = benchmark.months(100, 200, images, share=0.4, shift=4.0, seed=1)
    false, day = benchmark.first_alarms(benchmark.adjusted(known, new, 0.05), alpha=0.05)
    assert false.sum() <= 5
    assert (day > 0).all()
    assert np.median(day) == 16 if images == 60 else np.median(day) <= 18
    assert (day[~false] <= 18).mean() > 0.9


def test_months_without_drift_raise_few_alarms(benchmark) -> None:
    known, new = benchmark.months(100, 100, 20, share=0.0, shift=0.0, seed=2)
    values = benchmark.adjusted(known, new, 0.05)
    assert (values <= 0.05).any(1).sum() <= 5
    assert (values <= 0.5).any(1).sum() >= 5, "the tests would never raise an alarm"

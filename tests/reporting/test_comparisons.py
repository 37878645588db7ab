"""Sentences, Holm's correction by hand, DeLong by brute force, and levels of both tests by simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp
from sklearn.metrics import roc_auc_score

from synthood.reporting.comparisons import Comparison, corrected, delong, holm, p_text, p_value, points
from synthood.reporting.statistics import Runs, crossed_gain, difference

SCORES = st.lists(st.integers(-3, 3), min_size=2, max_size=9)


def minus(runs: Runs, base: Runs) -> Runs:
    gain = difference(runs, base)
    assert gain is not None
    return gain


def flat(values: list[float], resamples: int = 30) -> Runs:
    """Runs that no choice of images changes."""
    return Runs(np.array(values), np.repeat(np.array(values)[:, None], resamples, axis=1))


def test_sentence() -> None:
    found = Comparison("sio-biggan", "ce", "near", 1.21, 0.3, 1.99, 3, 0.95).sentence()
    assert found == "sio-biggan - ce on near OOD: +1.21 points, 95 % interval +0.30 to +1.99, 3 seeds"


def test_sentence_of_one_seed_and_of_a_test() -> None:
    assert Comparison("knn", "msp", "photos", -0.0000001, -1.04, 0.0, 1, 0.9).sentence() == (
        "knn - msp on photos: +0.000000 points, 90 % interval -1.04 to +0.00, 1 seed (images alone)"
    )
    tested = Comparison("a", "b", "far", 1.0, 0.5, 1.5, 5, 0.95, 0.0421)
    assert tested.sentence().endswith("5 seeds, p = 0.042 (Holm): significant")
    assert replace(tested, p=0.0).sentence().endswith("5 seeds, p < 0.001 (Holm): significant")
    assert replace(tested, p=0.0504).sentence().endswith("5 seeds, p = 0.050 (Holm): not significant")
    assert replace(tested, gain=math.nan).sentence() == "a - b on far OOD: no seed in common"


@pytest.mark.parametrize(
    ("number", "text"),
    [(1.06, "+1.06"), (0.0, "+0.00"), (-0.004, "-0.004"), (0.00004, "+0.00004"), (-0.18, "-0.18"), (1e-9, "+0.000000")],
)
def test_a_number_that_is_not_zero_does_not_read_as_zero(number: float, text: str) -> None:
    """`-0.18 [-0.3, +0.0]` was marked, and `+1.06 [+0.0, +2.1]` was not."""
    assert points(number) == text


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1), st.sampled_from([0.0001, 0.01, 0.05, 0.2]))
def test_a_printed_p_value_is_on_the_same_side_of_the_level(p: float, level: float) -> None:
    text = p_text(p, level)
    below = text.startswith("p < ") or float(text.removeprefix("p = ")) < level
    assert below == (p < level)


def test_nothing_is_tested_below_five_seeds() -> None:
    base = flat([0.0] * 4)
    assert corrected([(flat([0.1, 0.2, 0.3, 0.2]), base)]) == [None]
    assert corrected([(flat([0.1, 0.2, 0.3, 0.2, 0.2]), flat([0.0] * 5))]) != [None]


def test_gains_are_over_the_seeds_that_both_have() -> None:
    """Runs in another order, and with seeds of their own."""
    one = Runs(np.array([1.0, 2.0, 4.0]), np.ones((3, 2)), (0, 1, 5))
    other = Runs(np.array([3.0, 0.5, 0.25]), np.zeros((3, 2)), (5, 0, 7))
    gain = difference(one, other)
    assert gain is not None
    assert (gain.seeds, gain.values.tolist()) == ((0, 5), [0.5, 1.0])
    alone = Runs(np.array([1.0]), np.ones((1, 2)), (9,))
    assert difference(one, alone) is None
    assert math.isnan(crossed_gain(one, alone, 0.95).mean)
    assert corrected([(one, alone)], fewest=1) == [None]
    shared = difference(one, Runs(np.array([1.0]), np.ones((1, 2))))
    assert shared is not None
    assert shared.values.tolist() == [0.0, 1.0, 3.0]


def test_p_value_without_image_noise_is_the_paired_t_test() -> None:
    values, base = [0.3, 0.5, 0.45, 0.2, 0.6], [0.25, 0.4, 0.5, 0.15, 0.5]
    expected = ttest_1samp(np.subtract(values, base), 0).pvalue
    assert p_value(minus(flat(values), flat(base))) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-0.2, 0.3), min_size=5, max_size=5), st.sampled_from([0.8, 0.95]), st.integers(0, 99))
def test_p_value_and_interval_say_the_same(values: list[float], confidence: float, seed: int) -> None:
    noise = 0.05 * np.random.default_rng(seed).normal(size=(1, 30)) + 0.01 * np.random.default_rng(seed).normal(
        size=(5, 30)
    )
    runs = Runs(np.array(values), np.array(values)[:, None] + noise)
    interval, p = crossed_gain(runs, flat([0.0] * 5), confidence), p_value(runs)
    if abs(p - (1 - confidence)) > 1e-6:
        assert (p < 1 - confidence) == (interval.low > 0 or interval.high < 0)


def test_p_values_of_no_difference_and_of_one_without_any_noise() -> None:
    assert p_value(flat([0.0] * 5)) == 1.0
    assert p_value(flat([0.25] * 5)) == pytest.approx(0.0, abs=1e-11)


def test_all_pairs_are_corrected_together() -> None:
    runs = flat([0.3, 0.5, 0.45, 0.2, 0.6])
    other = flat([0.31, 0.49, 0.47, 0.19, 0.61])
    base = flat([0.25, 0.4, 0.5, 0.15, 0.5])
    three = flat([0.1, 0.2, 0.3])
    found = corrected([(runs, base), (three, three), (other, base)])
    raw = [p_value(minus(runs, base)), p_value(minus(other, base))]
    assert [found[0], found[2]] == pytest.approx(holm(raw).tolist())
    assert found[1] is None
    assert max(one for one in found if one is not None) > max(raw)


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03, 0.8]).tolist() == pytest.approx([0.09, 0.04, 0.09, 0.8])
    assert holm([]).tolist() == []
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_raw_and_bonferroni(values: list[float]) -> None:
    raw, corrected = np.array(values), holm(values)
    assert (corrected >= raw).all()
    assert (corrected <= np.minimum(raw * len(raw), 1) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(raw, kind="stable")]) >= 0).all()


def wins(ids: np.ndarray, oods: np.ndarray) -> np.ndarray:
    """[n,m]: 1 where ID lies above OOD, a half for ties."""
    return (ids[:, None] > oods).astype(float) + 0.5 * (ids[:, None] == oods)


@settings(max_examples=40, deadline=None)
@given(SCORES, SCORES, st.integers(0, 999))
def test_delong_by_its_definition(ids: list[int], oods: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    first = (np.array(ids, float), np.array(oods, float))
    second = (random.integers(-3, 4, len(ids)).astype(float), random.integers(-3, 4, len(oods)).astype(float))
    found = delong(first, second)
    gap = wins(*first) - wins(*second)
    truth = [1] * len(ids) + [0] * len(oods)
    areas = [roc_auc_score(truth, np.concatenate(pair)) for pair in (first, second)]
    assert found.difference == pytest.approx(areas[0] - areas[1], abs=1e-12)
    variance = gap.mean(1).var(ddof=1) / len(ids) + gap.mean(0).var(ddof=1) / len(oods)
    assert found.error == pytest.approx(math.sqrt(variance), abs=1e-12)
    back = delong(second, first)
    assert (back.difference, back.p) == (pytest.approx(-found.difference), pytest.approx(found.p))


def test_delong_where_both_areas_are_one() -> None:
    perfect, other = (np.array([3.0, 4.0]), np.array([1.0, 2.0])), (np.array([9.0, 8.0]), np.array([0.0, 0.0]))
    found = delong(perfect, other)
    assert (found.difference, found.error, found.p) == (0.0, 0.0, 1.0)
    assert delong(perfect, perfect[::-1]).p == 0.0


def test_delong_refuses_other_images_and_single_ones() -> None:
    three, two = np.arange(3.0), np.arange(2.0)
    with pytest.raises(ValueError, match="two scores of the same images"):
        delong((three, two), (two, two))
    with pytest.raises(ValueError, match="at least two ID and two OOD"):
        delong((three, two[:1]), (three, two[:1]))


def test_delong_rejects_as_often_as_it_says() -> None:
    """Two scores of one AUROC, correlated over 60 + 40 images: about 5 % of 1500 tests fall below 0.05."""
    random = np.random.default_rng(5)
    below = 0
    for _ in range(1500):
        pairs = []
        shared = random.normal(size=100)
        for _ in range(2):
            confidence = 0.7 * shared + 0.7 * random.normal(size=100) + np.repeat([1.0, 0.0], [60, 40])
            pairs.append((confidence[:60], confidence[60:]))
        below += delong(*pairs).p < 0.05
    assert 0.03 <= below / 1500 <= 0.075

"""Conformal p-values, thresholds and their intervals against counting, enumeration and simulation."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthood.deploy import conformal
from synthood.deploy.conformal import Threshold
from synthood.errors import SynthoodError

SCORES = st.lists(st.integers(-4, 4), min_size=1, max_size=30)
LEVELS = st.sampled_from([0.01, 0.05, 0.07, 0.1, 0.29, 0.3, 0.5])
SPLITS = 2000
FEW = settings(max_examples=60, deadline=None)


@given(SCORES, SCORES)
@FEW
def test_p_values_count_calibration_scores_at_or_below(calibration: list[int], new: list[int]) -> None:
    expected = [(1 + sum(s <= one for s in calibration)) / (len(calibration) + 1) for one in new]
    assert conformal.p_values(calibration, new).tolist() == expected


@given(SCORES, SCORES, LEVELS)
@FEW
def test_a_threshold_rejects_what_p_values_reject(calibration: list[int], new: list[int], level: float) -> None:
    rejected = conformal.p_values(calibration, new) <= level
    if len(calibration) < conformal.least_count(level):
        assert not rejected.any()
        with pytest.raises(SynthoodError, match="calibration images cannot support it"):
            Threshold.of(calibration, level)
    else:
        assert (Threshold.of(calibration, level).rejects(new) == rejected).all()


def test_fewest_images() -> None:
    assert [conformal.least_count(level) for level in (0.01, 0.05, 0.1, 0.5)] == [99, 19, 9, 1]
    assert conformal.rank(0.29, 99) == 29  # 0.29 * 100 is below 29 in floats


def test_every_order_is_as_likely_so_that_the_rate_is_rank_over_n_plus_one() -> None:
    """Exhaustively: which of 8 ordered scores is the new one does not matter."""
    scores = np.arange(8.0)
    rejected = [Threshold.of(np.delete(scores, i), 0.3).rejects(scores[i : i + 1])[0] for i in range(8)]
    assert np.mean(rejected) == 2 / 8


def test_measured_rate_is_the_law_of_all_splits() -> None:
    """All 462 ways to take 6 of 11 scores for calibration, the other 5 measured."""
    scores, counts = np.arange(11.0), np.zeros(6)
    for chosen in combinations(range(11), 6):
        calibration, rest = scores[list(chosen)], np.delete(scores, chosen)
        counts[Threshold.of(calibration, 0.3).rejects(rest).sum()] += 1
    law = Threshold.of(scores[:6], 0.3).distribution(5).pmf(np.arange(6))
    assert counts / counts.sum() == pytest.approx(law, abs=1e-12)


@pytest.mark.parametrize(("count", "level"), [(29, 0.05), (200, 0.05), (500, 0.01)])
def test_intervals_cover_over_seeded_splits(count: int, level: float) -> None:
    """Of 2,000 calibrations, each measured on 1,000 images."""
    random, rest = np.random.default_rng(count), 1000
    # A uniform score stands for its own quantile, so that the true rate is the threshold itself
    scores = random.random((SPLITS, count + rest))
    threshold = Threshold.of(scores[0, :count], level)
    cut = np.partition(scores[:, :count], threshold.rank - 1, axis=1)[:, threshold.rank - 1]
    measured = (scores[:, count:] < cut[:, None]).mean(1)
    low, high = threshold.measured_rate(rest)
    assert ((low <= measured) & (measured <= high)).mean() >= 0.94
    low, high = threshold.true_rate
    assert 0.94 <= ((low <= cut) & (cut <= high)).mean() <= 0.96
    assert measured.mean() <= level + 4 * measured.std() / SPLITS**0.5


def test_ties_never_raise_the_rate() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 5, (SPLITS, 150))
    found = [Threshold.of(row[:50], 0.1) for row in scores]
    measured = np.array([one.rejects(row[50:]).mean() for one, row in zip(found, scores, strict=True)])
    assert measured.mean() <= 0.1
    tied = found[0]
    assert tied.ties > 1
    assert tied.true_rate[0] == tied.measured_rate(100)[0] == 0
    assert (measured <= tied.measured_rate(100)[1]).mean() >= 0.95


def test_beta_interval_of_a_published_example() -> None:
    """n = 1000, alpha = 0.1: coverage is Beta(901, 100) (Angelopoulos and Bates, arXiv 2107.07511, section 3.2)."""
    low, high = Threshold.of(np.arange(1000.0), 0.1).true_rate
    assert (1 - high, 1 - low) == pytest.approx(stats.beta.interval(0.95, 901, 100), abs=1e-12)


def test_few_images_warn() -> None:
    few = Threshold.of(np.arange(29.0), 0.05)
    assert few.warning.startswith(
        "reject_id 0.05: with 29 calibration images the true rate lies between 0.087 % and 12 %"
    )
    enough = conformal.sufficient_count(0.05)
    loose = [n for n in range(19, 1000) if conformal.true_rate(0.05, n)[1] > 0.1]
    assert enough == max(loose) + 1
    assert f"{enough} images keep it below 10 %" in few.warning
    assert Threshold.of(np.arange(float(enough)), 0.05).warning == ""
    assert Threshold.of(np.arange(enough - 1.0), 0.05).warning


@given(st.lists(st.integers(1, 20), min_size=1, max_size=20), LEVELS)
@FEW
def test_benjamini_hochberg_by_its_definition(counts: list[int], level: float) -> None:
    p = np.array(counts) / 20
    ordered = sorted(p)
    passed = [j for j in range(1, len(p) + 1) if ordered[j - 1] * len(p) / j <= level]
    cut = ordered[max(passed) - 1] if passed else -1.0
    assert conformal.benjamini_hochberg(p, level).tolist() == (p <= cut).tolist()
    assert conformal.adjusted(p) == pytest.approx(stats.false_discovery_control(p), abs=1e-12)


def test_benjamini_hochberg_holds_the_false_discovery_rate_of_conformal_p_values() -> None:
    random = np.random.default_rng(1)
    shares = []
    for _ in range(400):
        new = np.concatenate([random.random(80), random.random(20) / 100 - 0.005])
        flagged = conformal.benjamini_hochberg(conformal.p_values(random.random(500), new), 0.2)
        shares.append(flagged[:80].sum() / max(flagged.sum(), 1))
    assert np.mean(shares) <= 0.2


@given(SCORES, st.integers(1, 4))
@FEW
def test_cross_p_values_compare_with_the_detector_without_the_fold(calibration: list[int], folds: int) -> None:
    fold = np.arange(len(calibration)) % folds
    new = np.random.default_rng(0).integers(-5, 6, (folds, 3))
    expected = [
        (1 + sum(s <= new[k, j] for s, k in zip(calibration, fold, strict=True))) / (len(calibration) + 1)
        for j in range(3)
    ]
    assert conformal.cross_p_values(calibration, fold, new).tolist() == expected
    if folds == 1:
        assert (conformal.cross_p_values(calibration, fold, new) == conformal.p_values(calibration, new[0])).all()


def test_cross_conformal_rate_is_within_its_bound() -> None:
    """Scores: minus the distance to the mean of few other points, whose fit depends on the fold."""
    random, rejected, count, folds = np.random.default_rng(2), [], 20, 5
    fold = np.arange(count) % folds
    for _ in range(SPLITS // 4):
        points, new = random.standard_normal((count, 8)), random.standard_normal((1, 8))
        means = np.stack([points[fold != k].mean(0) for k in range(folds)])
        calibration = -np.linalg.norm(points - means[fold], axis=1)
        by_fold = -np.linalg.norm(new[None] - means[:, None], axis=2)
        rejected.append(conformal.cross_p_values(calibration, fold, by_fold)[0] <= 0.1)
    assert 0.05 < np.mean(rejected) <= conformal.cross_bound(0.1, count, folds)
    assert conformal.cross_bound(0.1, 100, 5) == pytest.approx(0.2 + min(1.6 / 21, 0.95 / 6))


def test_clopper_pearson() -> None:
    for hits, count in ((0, 10), (3, 10), (10, 10)):
        expected = stats.binomtest(hits, count).proportion_ci(0.95, "exact")
        assert conformal.rate_interval(hits, count) == pytest.approx(tuple(expected), abs=1e-12)
    assert conformal.rate_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("wrong", [[], [[1.0]], [1.0, float("nan")]])
def test_wrong_calibration(wrong: list[float]) -> None:
    with pytest.raises(SynthoodError, match="calibration: "):
        conformal.p_values(wrong, [1.0])
    with pytest.raises(SynthoodError, match="expected a share between 0 and 1"):
        Threshold.of([1.0, 2.0], 5)

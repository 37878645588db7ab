"""Intervals: shared draws, closed forms, coverage, gains."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm as normal
from scipy.stats import t as student

from synthood.evaluation.metrics.areas import Auroc
from synthood.evaluation.ranking import Ranking
from synthood.reporting.statistics import Components, Resamples, Runs, crossed, crossed_gain


def runs(values: list[float], resampled: list[list[float]]) -> Runs:
    return Runs(np.array(values), np.array(resampled))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 50))
def test_counts_sum_to_what_is_drawn(size: int) -> None:
    weights = Resamples(30).weights("digits/test", size)
    assert weights.shape == (30, size)
    assert (weights.sum(1) == size).all()
    assert (weights >= 0).all()
    assert (weights == weights.round()).all()


def test_draws_depend_on_the_name_alone() -> None:
    one, other = Resamples(50), Resamples(50)
    other.weights("digits/far", 20)
    first = one.weights("digits/test", 20)
    assert one.weights("digits/test", 20) is first  # every recipe, detector and near set sees this very array
    assert np.array_equal(other.weights("digits/test", 20), first)
    assert not np.array_equal(other.weights("digits/far", 20), first)


def test_resamples_differ_and_weigh_all_images_alike() -> None:
    """Each count has mean 1 and, as a multinomial's, variance 1 - 1/n."""
    weights = Resamples(4000).weights("digits/test", 10)
    assert len(np.unique(weights, axis=0)) > 3000
    assert weights.mean(0) == pytest.approx(np.ones(10), abs=0.08)
    assert weights.var(0) == pytest.approx(np.full(10, 0.9), abs=0.12)


def test_average_over_sets_is_unweighted() -> None:
    mean = Runs.average([runs([0.0, 1.0], [[0.0, 2.0], [4.0, 6.0]]), runs([1.0, 3.0], [[1.0, 2.0], [0.0, 2.0]])])
    assert mean.values.tolist() == [0.5, 2.0]
    assert mean.resampled.tolist() == [[0.5, 2.0], [2.0, 4.0]]


def test_constant_runs_have_an_interval_of_one_point() -> None:
    found = crossed(runs([0.25, 0.25], [[0.25] * 40] * 2), 0.95)
    assert (found.mean, found.deviation, found.low, found.high) == (0.25, 0.0, 0.25, 0.25)


def test_interval_of_images_alone_covers_as_often_as_it_says() -> None:
    """Normal data of known mean: about 90 % of 200 intervals hold it, and they are as wide as theory has it."""
    random = np.random.default_rng(0)
    weights = Resamples(400).weights("digits/test", 60)
    covered, widths = 0, []
    for _ in range(200):
        sample = random.normal(0.3, 0.1, 60)
        found = crossed(Runs(np.array([sample.mean()]), (weights @ sample / 60)[None]), 0.9)
        covered += found.low <= 0.3 <= found.high
        widths.append(found.high - found.low)
    assert 0.82 <= covered / 200 <= 0.96
    assert np.mean(widths) == pytest.approx(2 * 0.1645 / math.sqrt(60), rel=0.08)


def test_components_by_hand() -> None:
    """Seeds 0.2, 0.4, 0.9 have variance 0.13; a shift that all runs share has variance 1, each run's own noise none."""
    shift = np.array([-1.0, 0.0, 1.0])
    three = Runs(np.array([0.2, 0.4, 0.9]), np.stack([shift, shift + 5, shift]))
    found = Components.of(three)
    assert (found.seeds, found.images, found.freedom) == (pytest.approx(0.13 / 3), pytest.approx(1.0), 2)
    assert found.error == pytest.approx(math.sqrt(0.13 / 3 + 1))


def test_own_noise_of_a_run_is_no_effect_of_the_images() -> None:
    """Runs whose resamples move against each other share nothing."""
    shift = np.array([-1.0, 0.0, 1.0])
    assert Components.of(Runs(np.array([0.0, 0.0]), np.stack([shift, -shift]))).images == 0.0


def test_the_jackknife_of_a_mean_is_the_variance_of_the_mean() -> None:
    """Three models of 0.2, 0.4 and 0.9, as one."""
    values = np.array([0.2, 0.4, 0.9])
    without = (values.sum() - values) / 2
    found = Components.of(Runs(np.array([values.mean()]), np.full((1, 9), values.mean()), without=without))
    assert (found.seeds, found.images, found.freedom) == (pytest.approx(0.13 / 3), pytest.approx(0.0), 2)


def test_crossed_interval_of_seeds_alone_is_students() -> None:
    values = [0.2, 0.3, 0.37]
    found = crossed(runs(values, [[v] * 20 for v in values]), 0.9)
    low, high = student.interval(0.9, 2, loc=np.mean(values), scale=np.std(values, ddof=1) / math.sqrt(3))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.deviation == pytest.approx(np.std(values, ddof=1))


def test_crossed_interval_of_one_seed_is_normal() -> None:
    drawn = np.random.default_rng(0).normal(0.5, 0.01, 500)
    found = crossed(Runs(np.array([0.5]), drawn[None]), 0.95)
    assert found.high - found.mean == pytest.approx(1.959964 * drawn.std(ddof=1))
    assert math.isnan(found.deviation)


def test_seeds_that_agree_by_accident_leave_the_interval_of_new_images() -> None:
    """Two runs of the same value, whose noise of 0.03 and 0.04 is each their own: the mean's is 0.025."""
    noise = np.random.default_rng(0).normal(size=(2, 4000)) * [[0.03], [0.04]]
    found = crossed(Runs(np.array([0.5, 0.5]), 0.5 + noise), 0.95)
    assert found.high - found.mean == pytest.approx(1.959964 * 0.025, rel=0.05)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_crossed_interval_stays_where_the_quantity_can_be() -> None:
    found = crossed(runs([0.9, 1.0, 0.95], [[0.9] * 5, [1.0] * 5, [0.95] * 5]), 0.99)
    assert 0 <= found.low < found.mean < found.high == 1.0
    lead = crossed_gain(runs([0.9, 0.1], [[0.9] * 5, [0.1] * 5]), runs([0.0, 0.0], [[0.0] * 5] * 2), 0.95)
    assert (lead.low, lead.high) == (-1.0, 1.0)


def test_crossed_gain_over_itself_is_exactly_zero() -> None:
    one = Runs(np.random.default_rng(1).random(3), np.random.default_rng(2).random((3, 50)))
    found = crossed_gain(one, one, 0.95)
    assert (found.mean, found.deviation, found.low, found.high) == (0.0, 0.0, 0.0, 0.0)


def test_crossed_gain_pairs_seeds_and_images() -> None:
    """A constant lead has a narrow interval, however much both recipes vary."""
    base = Runs(np.random.default_rng(1).random(3), np.random.default_rng(2).random((3, 50)))
    better = Runs(base.values + 0.125, base.resampled + 0.125)
    found = crossed_gain(better, base, 0.95)
    assert (found.mean, found.low, found.high) == tuple(pytest.approx(0.125) for _ in range(3))
    assert found.deviation == pytest.approx(0.0, abs=1e-12)
    assert crossed_gain(base, better, 0.95).mean == pytest.approx(-0.125)


def percentiles(runs: Runs) -> tuple[float, float]:
    """The 95 % interval of a bootstrap over seeds and images jointly, for comparison."""
    count, resamples = runs.resampled.shape
    chosen = np.random.default_rng(0).integers(0, count, (count, resamples))
    low, high = np.percentile(np.take_along_axis(runs.resampled, chosen, 0).mean(0), [2.5, 97.5])
    return float(low), float(high)


def trials(seeds: int, spread: float, shared: float, count: int, images: int = 60) -> tuple[float, float]:
    """How often the 95 % intervals of `crossed` and `percentiles` hold the true AUROC, over new seeds and new images.

    ID confidences are N(1 + spread a, 1) with a ~ N(0,1) per seed, OOD's N(0,1), correlated over seeds by `shared`;
    the mean AUROC is then Phi(1 / sqrt(2 + spread^2)).
    """
    random, resamples, held = np.random.default_rng([seeds, images]), Resamples(150), np.zeros(2)
    weights = [resamples.weights(f"toy/{part}", images) for part in ("test", "away")]
    truth = normal.cdf(1 / math.sqrt(2 + spread**2))
    for _ in range(count):
        common, values, drawn = random.normal(size=2 * images), [], []
        for _ in range(seeds):
            noise = math.sqrt(shared) * common + math.sqrt(1 - shared) * random.normal(size=2 * images)
            ranking = Ranking(noise[:images] + 1 + spread * random.normal(), noise[images:])
            values.append(ranking.metrics(metrics=[Auroc()])["auroc"][0])
            drawn.append(ranking.metrics(weights, [Auroc()])["auroc"])
        measured = Runs(np.array(values), np.stack(drawn))
        found = crossed(measured, 0.95)
        for method, (low, high) in enumerate(((found.low, found.high), percentiles(measured))):
            held[method] += low <= truth <= high
    return float(held[0] / count), float(held[1] / count)


@pytest.mark.parametrize(("seeds", "spread", "shared"), [(3, 0.0, 0.7), (3, 0.2, 0.7), (3, 1.0, 0.3), (5, 0.2, 0.0)])
def test_crossed_intervals_cover_as_often_as_they_say(seeds: int, spread: float, shared: float) -> None:
    held, _ = trials(seeds, spread, shared, 400)
    assert 0.92 <= held <= 0.98


def test_percentiles_over_three_seeds_cover_too_little_where_trainings_differ() -> None:
    """They end at the smallest and largest seed, which hold the truth in 1 - 2 / 2^3 of all triples."""
    held, joint = trials(3, 1.0, 0.3, 300, images=200)
    assert joint <= 0.82
    assert 0.92 <= held <= 0.98

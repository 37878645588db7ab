"""OOD metrics against hand computation, brute force and scikit-learn."""

from collections.abc import Sequence
from itertools import permutations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from synthood.evaluation import ranking as module
from synthood.evaluation.metrics.rates import Fpr95OODPositive
from synthood.evaluation.ranking import OOD_METRICS, Ranking, aurc, counts_above
from synthood.reporting.statistics import Resamples

SIX = ([5.0, 5.0, 3.0], [4.0, 3.0, 1.0])
SCORES = st.lists(st.integers(-4, 4), min_size=1, max_size=30)
FEW = settings(max_examples=40, deadline=None)


def of(ids: Sequence[float], oods: Sequence[float]) -> dict[str, float]:
    values = Ranking(np.array(ids, float), np.array(oods, float)).metrics()
    return {name: float(value[0]) for name, value in values.items()}


def false_positive_rate(positive: np.ndarray, negative: np.ndarray) -> float:
    """Share of negatives at or above the highest threshold that keeps 95 % of the positives, tried one by one."""
    for threshold in sorted({*positive, *negative}, reverse=True):
        if 20 * (positive >= threshold).sum() >= 19 * len(positive):
            return float((negative >= threshold).mean())
    raise AssertionError("no threshold keeps every positive")


def test_names_and_order() -> None:
    assert list(of(*SIX)) == ["auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive"]


def test_six_points_with_ties_by_hand() -> None:
    assert of(*SIX) == pytest.approx(
        {
            "auroc": 7.5 / 9,  # pairs won: 3 + 3 + (0 + 1/2 + 1)
            "aupr_in": 2 / 3 * 1 + 1 / 3 * 3 / 5,  # precision 1 at recall 2/3 (threshold 5), 3/5 at 1 (threshold 3)
            "aupr_out": (1 + 2 / 3 + 3 / 4) / 3,  # from below: 1 of 1 at 1, 2 of 3 at 3, 3 of 4 at 4
            "fpr95_id_positive": 2 / 3,  # all ID kept at 3: OOD 4 and 3 pass
            "fpr95_ood_positive": 1 / 3,  # all OOD kept at or below 4: one ID, 3
        },
        abs=1e-12,
    )


def test_all_equal_scores() -> None:
    assert of([2.0] * 3, [2.0] * 5) == pytest.approx(
        {"auroc": 0.5, "aupr_in": 3 / 8, "aupr_out": 5 / 8, "fpr95_id_positive": 1.0, "fpr95_ood_positive": 1.0}
    )


@pytest.mark.parametrize(("ids", "oods", "good"), [([2.0, 3.0], [0.0, 1.0], True), ([0.0, 1.0], [2.0, 3.0], False)])
def test_separated_scores(ids: list[float], oods: list[float], good: bool) -> None:
    found = of(ids, oods)
    assert found["auroc"] == float(good)
    assert found["fpr95_id_positive"] == found["fpr95_ood_positive"] == float(not good)
    assert found["aupr_in"] == found["aupr_out"] == (1.0 if good else pytest.approx((1 / 3 + 2 / 4) / 2))


def test_95_percent_is_reached_by_19_of_20() -> None:
    """0.95 * 20 is 19 exactly: the twentieth sample, on the wrong side of one of the others, need not be kept."""
    ids = np.arange(1.0, 21.0)
    assert of(ids, [1.5, 0.5])["fpr95_id_positive"] == 0.0
    assert of([20.5, 19.5], ids)["fpr95_ood_positive"] == 0.0
    assert of([20.5, 18.5], ids)["fpr95_ood_positive"] == 0.5


@FEW
@given(SCORES, SCORES)
def test_areas_agree_with_scikit_learn(ids: list[int], oods: list[int]) -> None:
    found = of(ids, oods)
    truth, score = [1] * len(ids) + [0] * len(oods), np.array([*ids, *oods], float)
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    assert found["aupr_in"] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    assert found["aupr_out"] == pytest.approx(average_precision_score(1 - np.array(truth), -score), abs=1e-12)


@FEW
@given(SCORES, SCORES)
def test_rates_agree_with_brute_force(ids: list[int], oods: list[int]) -> None:
    found, id_scores, ood_scores = of(ids, oods), np.array(ids), np.array(oods)
    assert found["fpr95_id_positive"] == pytest.approx(false_positive_rate(id_scores, ood_scores), abs=1e-12)
    assert found["fpr95_ood_positive"] == pytest.approx(false_positive_rate(-ood_scores, -id_scores), abs=1e-12)


@FEW
@given(SCORES, SCORES)
def test_only_the_order_counts(ids: list[int], oods: list[int]) -> None:
    """A strictly increasing map and a permutation change nothing."""
    mapped = of(np.exp(np.array(ids[::-1]) / 2) - 7, np.exp(np.array(oods[::-1]) / 2) - 7)
    assert mapped == pytest.approx(of(ids, oods), abs=1e-12)


@FEW
@given(SCORES, SCORES)
def test_negated_scores_swap_the_sets(ids: list[int], oods: list[int]) -> None:
    found, swapped = of(ids, oods), of(-np.array(oods), -np.array(ids))
    assert swapped["auroc"] == pytest.approx(found["auroc"], abs=1e-12)
    assert swapped["aupr_in"] == pytest.approx(found["aupr_out"], abs=1e-12)
    assert swapped["fpr95_id_positive"] == pytest.approx(found["fpr95_ood_positive"], abs=1e-12)


@FEW
@given(SCORES, SCORES, st.integers(0, 2**32 - 1))
def test_weights_equal_repeated_samples(ids: list[int], oods: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = [random.multinomial(len(x), np.full(len(x), 1 / len(x)), size=3) for x in (ids, oods)]
    found = Ranking(np.array(ids, float), np.array(oods, float)).metrics(weights)
    for row, (id_counts, ood_counts) in enumerate(zip(*weights, strict=True)):
        repeated = of(np.repeat(ids, id_counts), np.repeat(oods, ood_counts))
        assert {name: value[row] for name, value in found.items()} == pytest.approx(repeated, abs=1e-12)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random, resamples = np.random.default_rng(0), Resamples(25)
    ranking = Ranking(random.normal(0.5, 1, 40), random.normal(0, 1, 90))
    weights = resamples.weights("a/test", 40), resamples.weights("a/away", 90)
    whole = ranking.metrics(weights)
    monkeypatch.setattr(module, "AT_ONCE", 7 * 90)
    pieces = ranking.metrics(weights)
    assert all(np.array_equal(whole[metric.key], pieces[metric.key]) for metric in OOD_METRICS)


def test_only_what_is_asked_for() -> None:
    ones = np.ones((3, 4), np.int16)
    found = Ranking(np.arange(4.0), np.arange(4.0) - 1).metrics((ones, ones), [Fpr95OODPositive()])
    assert {name: values.tolist() for name, values in found.items()} == {"fpr95_ood_positive": [0.75] * 3}


@pytest.mark.parametrize("count", range(2, 60))
def test_areas_and_rates_are_quotients_rounded_once(count: int) -> None:
    """So that a table rounds them as it would the exact number."""
    found = of([0.0] * (count - 1) + [2.0], [1.0])
    assert (found["auroc"], found["fpr95_ood_positive"]) == (1 / count, (count - 1) / count)


def test_counts_above_by_hand() -> None:
    id_above, ood_above = counts_above(*map(np.array, SIX))
    assert (id_above.tolist(), ood_above.tolist()) == ([2, 2, 3, 3], [0, 1, 2, 3])


@pytest.mark.parametrize(("ids", "oods"), [([], [1.0]), ([1.0], [])])
def test_empty_set_is_an_error(ids: list[float], oods: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one ID and one OOD"):
        Ranking(np.array(ids), np.array(oods))


def test_nan_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a number"):
        Ranking(np.array([1.0, np.nan]), np.array([0.0]))


def test_aurc_of_six_points_with_ties_by_hand() -> None:
    """Right, then wrong or right in either order, then wrong, right, wrong."""
    confidence = np.array([9.0, 7.0, 7.0, 5.0, 3.0, 1.0])
    right = np.array([True, False, True, False, True, False])
    assert aurc(confidence, right) == pytest.approx((0 + 0.5 / 2 + 1 / 3 + 2 / 4 + 2 / 5 + 3 / 6) / 6, abs=1e-12)


@pytest.mark.parametrize(("right", "area"), [([True] * 4, 0.0), ([False] * 4, 1.0)])
def test_aurc_without_errors_or_without_successes(right: list[bool], area: float) -> None:
    assert aurc(np.arange(4.0), np.array(right)) == area


@FEW
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=6), st.randoms())
def test_aurc_is_the_mean_over_orders_of_ties(samples: list[tuple[int, bool]], random: Random) -> None:
    """Against every order of the samples that keeps the confidences sorted."""
    confidence, right = np.array([s[0] for s in samples], float), np.array([s[1] for s in samples])
    orders = [list(o) for o in permutations(range(len(samples))) if all(np.diff(confidence[list(o)]) <= 0)]
    areas = [(np.cumsum(~right[order]) / np.arange(1, len(samples) + 1)).mean() for order in orders]
    assert aurc(confidence, right) == pytest.approx(np.mean(areas), abs=1e-12)
    shuffled = random.sample(range(len(samples)), len(samples))
    assert aurc(confidence[shuffled], right[shuffled]) == pytest.approx(aurc(confidence, right), abs=1e-12)

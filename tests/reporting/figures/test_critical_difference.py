"""Mean ranks against scipy's Friedman test, cliques against Conover's t on all pairs; the figure of toy scores."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import friedmanchisquare, rankdata, t

from synthood.evaluation.ranking import auroc
from synthood.reporting.figures.critical_difference import (
    LEVEL,
    CriticalDifference,
    Ranks,
    least_significant,
    members_of,
)
from synthood.reporting.figures.results import means
from toy_figures import SETTINGS, table


def test_friedman_with_ties_is_scipys() -> None:
    values = np.random.default_rng(0).random((9, 4)).round(1)
    found = Ranks.of(values, "abcd")
    assert found.p == pytest.approx(friedmanchisquare(*values.T).pvalue)
    assert found.ranks.sum() == pytest.approx(10)


def adjusted(values: np.ndarray) -> np.ndarray:
    """Conover's p-values [K,K] of all pairs by the residual form of t, after Holm's correction, pair by pair.

    The error is that of ranks from what their blocks and things predict, by least squares.
    """
    ranks = rankdata(-values, axis=1)
    (blocks, count), means = ranks.shape, ranks.mean(0)
    residuals = ranks - means - ranks.mean(1, keepdims=True) + ranks.mean()
    freedom = (blocks - 1) * (count - 1)
    deviation = np.sqrt(2 * (residuals**2).sum() / freedom / blocks)
    pairs = list(combinations(range(count), 2))
    apart = [abs(means[i] - means[j]) for i, j in pairs]
    # Where all blocks agree there is no error at all
    p = np.array([2 * t.sf(one / deviation, freedom) if deviation > 1e-9 else float(one < 1e-9) for one in apart])
    table, most = np.ones((count, count)), 0.0
    for place, index in enumerate(np.argsort(p, kind="stable")):
        most = max(most, min(1.0, (len(p) - place) * p[index]))
        table[pairs[index]] = table[pairs[index][::-1]] = most
    return table


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 20), st.integers(2, 7), st.integers(0, 9999), st.floats(0, 1), st.booleans())
def test_cliques_are_those_of_conovers_test_on_all_pairs(
    blocks: int, count: int, seed: int, effect: float, ties: bool
) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(blocks, count)) + effect * np.arange(count)
    values = values.round() if ties else values
    found = Ranks.of(values, [str(i) for i in range(count)])
    differs = adjusted(values) < LEVEL if found.p < LEVEL else np.zeros((count, count), bool)
    far = np.abs(found.ranks[:, None] - found.ranks) > found.critical - 1e-9
    assert np.array_equal(far, differs)
    for low, high in found.cliques():
        inside = (found.ranks >= low) & (found.ranks <= high)
        assert not differs[np.ix_(inside, inside)].any()


def test_conover_by_hand() -> None:
    """Three things in four blocks, ranks (1,2,3) thrice and (1,3,2) once: t = 8 / sqrt(2) for the first two sums.

    The sums are 4, 9, 11, the squares 56, so t = |R_i - R_j| / sqrt(2 * 4 * (56 - 218 / 4) / 6) = |R_i - R_j| / sqrt 2.
    """
    values = -np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 3, 2]], float)
    # 2 t.sf(7 / sqrt 2, 6) = 0.0026, of 5 / sqrt 2 0.0122 and of 2 / sqrt 2 0.2070: Holm keeps the first two
    assert least_significant(-values) == pytest.approx(5 / 4)
    found = Ranks.of(values, "abc")
    assert found.cliques() == [(2.25, 2.75)]
    assert members_of(found) == ["", "1", "1"]


def test_the_best_has_rank_one_and_ties_share() -> None:
    found = Ranks.of(np.array([[0.9, 0.8, 0.8], [0.7, 0.5, 0.6]]), ["a", "b", "c"])
    assert found.ranks.tolist() == [1.0, 2.75, 2.25]


def test_stretches_that_are_not_told_apart() -> None:
    ranks = Ranks(["a", "b", "c", "d"], np.array([3.5, 1.0, 1.5, 2.4]), 20, 0.001, 1.0)
    assert ranks.cliques() == [(1.0, 1.5), (1.5, 2.4)]
    assert members_of(ranks) == ["", "1", "1 2", "2"]
    assert replace(ranks, critical=np.inf).cliques() == [(1.0, 3.5)]


def test_equal_values_are_no_difference() -> None:
    found = Ranks.of(np.full((4, 3), 0.5), "abc")
    assert (found.p, found.ranks.tolist()) == (1.0, [2.0, 2.0, 2.0])


def test_ranks_are_of_sets_not_of_their_means() -> None:
    """The table has rows for near and far as well, which are no sets."""
    of = table()
    found = CriticalDifference().data(of)
    (recipes_title, recipes), (detectors_title, detectors) = found.more["panels"]
    assert recipes_title == "recipes, over 3 sets x 2 detectors"
    assert detectors_title == "detectors, over 3 sets x 2 recipes"
    assert (recipes.blocks, detectors.blocks) == (3 * 2, 3 * 2)
    areas = means(of, "auroc")
    places = [(part, name) for part in ("close", "away", "far2") for name in SETTINGS.detectors]
    better = np.mean([areas["pets", part, "plain", d] > areas["pets", part, "sio", d] for part, d in places])
    assert recipes.ranks.tolist() == pytest.approx([2 - better, 1 + better])
    ids, oods = (of.of("pets", "sio")[0].column("knn", [part]) for part in ("test", "away"))
    again = [auroc(ids, oods), auroc(*(of.of("pets", "sio")[1].column("knn", [part]) for part in ("test", "away")))]
    assert areas["pets", "away", "sio", "knn"] == pytest.approx(100 * np.mean(again), abs=1e-4)


def test_lower_is_better_where_the_metric_says_so() -> None:
    of = table()
    rows = of.values[of.values["metric"] != "auroc"]
    swapped = CriticalDifference().data(replace(of, values=rows))
    assert swapped.more["metric"] == "fpr95_id_positive"
    rates = means(replace(of, values=rows), "fpr95_id_positive")
    places = [(part, name) for part in ("close", "away", "far2") for name in SETTINGS.detectors]
    better = [np.sign(rates["pets", p, "sio", d] - rates["pets", p, "plain", d]) for p, d in places]
    assert swapped.more["panels"][0][1].ranks[0] == pytest.approx(1.5 - np.mean(better) / 2)


def test_the_picture_names_all_that_is_ranked() -> None:
    figure = CriticalDifference()
    data = figure.data(table())
    texts = " ".join(text.get_text() for axis in figure.draw(data).axes for text in axis.texts)
    assert all(name in texts for name in (*SETTINGS.recipes, *SETTINGS.detectors, "no pair differs significantly"))
    title, ranks = data.more["panels"][0]
    data.more["panels"][0] = title, replace(ranks, critical=0.5)
    assert "CD = 0.50" in " ".join(text.get_text() for axis in figure.draw(data).axes for text in axis.texts)


def test_nothing_to_rank_is_said() -> None:
    alone = table(SETTINGS.model_copy(update={"recipes": ["plain"], "detectors": ["msp"]}))
    assert CriticalDifference().data(alone).empty == "One recipe and one detector: nothing to rank."

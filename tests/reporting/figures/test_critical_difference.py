"""Mean ranks against scipy's Friedman test and Demsar's table of critical values; the figure of toy scores."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from synthood.evaluation.ranking import auroc
from synthood.reporting.figures.critical_difference import LEVEL, CriticalDifference, Ranks
from synthood.reporting.figures.results import means
from toy_figures import SETTINGS, table


def test_friedman_with_ties_is_scipys() -> None:
    values = np.random.default_rng(0).random((9, 4)).round(1)
    found = Ranks.of(values, "abcd")
    assert found.p == pytest.approx(friedmanchisquare(*values.T).pvalue)
    assert found.ranks.sum() == pytest.approx(10)


@pytest.mark.parametrize(("count", "quantile"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_demsars(count: int, quantile: float) -> None:
    """Table 5 (a) there: q at 0.05."""
    found = Ranks.of(np.random.default_rng(1).random((30, count)), [str(i) for i in range(count)])
    assert found.critical == pytest.approx(quantile * np.sqrt(count * (count + 1) / (6 * 30)), abs=5e-4)


def test_the_best_has_rank_one_and_ties_share() -> None:
    found = Ranks.of(np.array([[0.9, 0.8, 0.8], [0.7, 0.5, 0.6]]), ["a", "b", "c"])
    assert found.ranks.tolist() == [1.0, 2.75, 2.25]


def test_stretches_that_are_not_told_apart() -> None:
    ranks = Ranks(["a", "b", "c", "d"], np.array([3.5, 1.0, 1.5, 2.4]), 20, 0.001, 1.0)
    assert ranks.alike() == [(1.0, 1.5), (1.5, 2.4)]
    undecided = Ranks(ranks.names, ranks.ranks, 20, LEVEL, 1.0)
    assert undecided.alike() == [(1.0, 3.5)]


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
    picture = figure.draw(figure.data(table()))
    texts = " ".join(text.get_text() for axis in picture.axes for text in axis.texts)
    assert all(name in texts for name in (*SETTINGS.recipes, *SETTINGS.detectors, "CD = "))


def test_nothing_to_rank_is_said() -> None:
    alone = table(SETTINGS.model_copy(update={"recipes": ["plain"], "detectors": ["msp"]}))
    assert CriticalDifference().data(alone).empty == "One recipe and one detector: nothing to rank."

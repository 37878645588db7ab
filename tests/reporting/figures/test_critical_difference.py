"""Mean ranks against scipy's Friedman test and Demsar's table of critical values; the figure of toy scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.stats import friedmanchisquare

from synthood.evaluation.ranking import auroc
from synthood.reporting.critical_difference import LEVEL, Ranks, mean_areas, rank_figure, ranks_of
from synthood.reporting.settings import FigureSettings, PlotSettings


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


SETTINGS = PlotSettings(
    figures=FigureSettings(),
    datasets=["d"],
    recipes=["ce", "sio"],
    seeds=[0, 1],
    detectors=["msp", "knn", "gen"],
    near={"d": ["close"]},
    far={"d": ["away"]},
)


def toy(settings: PlotSettings) -> dict[tuple[str, str, int], pd.DataFrame]:
    parts = np.repeat(["test", "close", "away"], 20)
    found = {}
    for place, recipe in enumerate(settings.recipes):
        for seed in settings.seeds:
            random = np.random.default_rng([place, seed])
            columns = {name: random.random(60) + 0.5 * (parts == "test") for name in settings.detectors}
            found["d", recipe, seed] = pd.DataFrame({"part": parts} | columns)
    return found


def test_areas_are_means_over_seeds_and_panels_rank_them(tmp_path: Path) -> None:
    scores = toy(SETTINGS)
    areas = mean_areas(scores, SETTINGS)
    frames = [scores["d", "sio", seed] for seed in (0, 1)]
    expected = [auroc(f.loc[f["part"] == "test", "knn"], f.loc[f["part"] == "away", "knn"]) for f in frames]
    assert areas["d", "away", "sio", "knn"] == pytest.approx(np.mean(expected))
    recipes, detectors = (ranks for _, ranks in ranks_of(areas, SETTINGS))
    assert (recipes.blocks, detectors.blocks) == (2 * 3, 2 * 2)
    places = [(part, name) for part in ("close", "away") for name in SETTINGS.detectors]
    better = np.mean([areas["d", part, "ce", name] > areas["d", part, "sio", name] for part, name in places])
    assert recipes.ranks.tolist() == pytest.approx([2 - better, 1 + better])
    figure = rank_figure(scores, SETTINGS)
    texts = " ".join(text.get_text() for axis in figure.axes for text in axis.texts)
    assert all(name in texts for name in (*SETTINGS.recipes, *SETTINGS.detectors, "CD = "))
    plt.close(figure)


def test_nothing_to_rank_is_said() -> None:
    alone = SETTINGS.model_copy(update={"recipes": ["ce"], "detectors": ["msp"]})
    figure = rank_figure(toy(alone), alone)
    assert figure.axes[0].texts[0].get_text() == "one recipe and one detector: nothing to rank"
    plt.close(figure)

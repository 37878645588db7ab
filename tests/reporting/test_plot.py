"""Curves of the figures."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from sklearn.metrics import roc_auc_score

from synthood.reporting.plot import GRID, histogram_figure, roc_curve, roc_figure, training_figure
from synthood.reporting.settings import FigureSettings, PlotSettings

SETTINGS = PlotSettings(
    figures=FigureSettings(),
    datasets=["digits"],
    recipes=["plain", "sio"],
    seeds=[0, 1],
    detectors=["msp", "knn"],
    near={"digits": ["close"]},
    far={"digits": ["away"]},
)


def frame(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    parts = np.repeat(["test", "close", "away"], [60, 40, 30])
    lead = (parts == "test") * 0.3
    return pd.DataFrame({"part": parts, "msp": random.random(130) + lead, "knn": np.full(130, 0.5)})


def test_roc_curve_of_separated_scores() -> None:
    one = pd.DataFrame({"part": ["test", "test", "away"], "msp": [2.0, 3.0, 1.0]})
    assert roc_curve(one, "msp", "away").tolist() == [1.0] * len(GRID)


def test_roc_curve_of_equal_scores_is_the_diagonal() -> None:
    assert roc_curve(frame(0), "knn", "away") == pytest.approx(GRID)


def test_area_under_the_roc_curve() -> None:
    one = frame(3)
    pair = one[one["part"] != "away"]
    area = roc_auc_score(pair["part"] == "test", pair["msp"])
    curve = roc_curve(one, "msp", "close")
    assert np.trapezoid(curve, GRID) == pytest.approx(area, abs=0.01)
    assert (np.diff(curve) >= 0).all()


def test_figures_have_a_line_for_each_run() -> None:
    runs = [("digits", recipe, seed) for recipe in SETTINGS.recipes for seed in SETTINGS.seeds]
    scores = {run: frame(index) for index, run in enumerate(runs)}
    histories = {
        run: pd.DataFrame({"epoch": [0, 1], "loss": [2.0, 1.0], "accuracy": [0.1, 0.5], "val_accuracy": [0.1, 0.4]})
        for run in runs
    }
    roc, training = roc_figure(scores, SETTINGS), training_figure(histories, SETTINGS)
    lines = roc.axes[0].get_lines()  # one for each recipe, the mean over seeds, and the diagonal
    assert len(lines) == 3
    expected = np.mean([roc_curve(scores["digits", "sio", seed], "msp", "close") for seed in (0, 1)], axis=0)
    assert np.asarray(lines[1].get_ydata()) == pytest.approx(expected)
    assert [axis.get_title() for axis in roc.axes] == ["close", "away", "", ""]
    assert [len(axis.get_lines()) for axis in training.axes] == [4, 4, 4]
    assert np.asarray(training.axes[0].get_lines()[0].get_xdata()).tolist() == [1, 2]
    histogram = histogram_figure(scores, SETTINGS)  # all-equal confidences too
    assert len(histogram.axes) == 4
    assert all(len(axis.patches) == 3 for axis in histogram.axes)
    plt.close("all")


@pytest.mark.parametrize("imported", [["sio"], ["plain", "sio"]], ids=len)
def test_a_checkpoint_has_no_training_curve(imported: list[str]) -> None:
    trained = pd.DataFrame({"epoch": [0, 1], "loss": [2.0, 1.0], "accuracy": [0.1, 0.5], "val_accuracy": [0.1, 0.4]})
    runs = [("digits", recipe, seed) for recipe in SETTINGS.recipes for seed in SETTINGS.seeds]
    figure = training_figure({run: trained[:0] if run[1] in imported else trained for run in runs}, SETTINGS)
    figure.canvas.draw()
    assert [len(axis.get_lines()) for axis in figure.axes] == [2 * (2 - len(imported))] * 3
    plt.close(figure)


@pytest.mark.parametrize(("role", "name"), [("near", "close"), ("far", "away")])
def test_figures_of_one_role_alone(role: str, name: str) -> None:
    settings = SETTINGS.model_copy(update={"near": {"digits": []}, "far": {"digits": []}, role: {"digits": [name]}})
    runs = [("digits", recipe, seed) for recipe in SETTINGS.recipes for seed in SETTINGS.seeds]
    scores = {run: frame(index) for index, run in enumerate(runs)}
    assert [axis.get_title() for axis in roc_figure(scores, settings).axes] == [name, ""]
    assert all(len(axis.patches) == 2 for axis in histogram_figure(scores, settings).axes)
    plt.close("all")

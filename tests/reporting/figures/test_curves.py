"""ROC and precision-recall curves against scikit-learn, and how curves of several seeds are put together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from synthood.evaluation.ranking import counts_above
from synthood.reporting.figures.precision_recall import PrecisionRecall, precision_curve
from synthood.reporting.figures.roc import Roc, RocLog
from synthood.reporting.figures.roc import roc_curve as ours
from toy_figures import COUNTS, SETTINGS, table

SIDES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=30)


def both(ids: list[float], oods: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([1, 0], [len(ids), len(oods)]), np.array([*ids, *oods])


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES)
def test_roc_is_scikit_learns_with_ties(ids: list[float], oods: list[float]) -> None:
    labels, values = both(ids, oods)
    grid = np.linspace(0, 100, 41)
    curve, area = ours(*counts_above(np.array(ids), np.array(oods)), grid)
    assert area == pytest.approx(100 * roc_auc_score(labels, values))
    fpr, tpr, _ = roc_curve(labels, values, drop_intermediate=False)
    last = np.append(np.diff(fpr) > 0, True)
    assert curve == pytest.approx(100 * np.interp(grid / 100, fpr[last], tpr[last]))
    assert (np.diff(curve) >= -1e-9).all()


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES)
def test_average_precision_is_scikit_learns(ids: list[float], oods: list[float]) -> None:
    labels, values = both(ids, oods)
    curve, area = precision_curve(*counts_above(np.array(ids), np.array(oods)), np.array([50.0, 100.0]))
    assert area == pytest.approx(100 * average_precision_score(labels, values))
    least = np.sort(ids)[::-1][-(-len(ids) // 2) - 1]
    accepted = labels[values >= least]
    assert curve == pytest.approx([100 * accepted.mean(), 100 * labels[values >= min(ids)].mean()])


def test_separated_scores_reach_the_corner() -> None:
    curve, area = ours(*counts_above(np.array([2.0, 3.0]), np.array([1.0])), np.array([0.0, 50.0]))
    assert (curve.tolist(), area) == ([100, 100], 100)


@pytest.mark.parametrize("figure", [Roc(), RocLog(), PrecisionRecall()], ids=lambda one: one.kind)
def test_a_curve_is_the_mean_over_seeds_and_the_band_their_range(figure: Roc) -> None:
    of = table()
    data = figure.data(of)
    assert len(data.rows) == 2 * 3 * 2  # detectors, sets, recipes
    row = data.rows.query("detector == 'knn' and set == 'away' and recipe == 'sio'").iloc[0]
    curve = precision_curve if isinstance(figure, PrecisionRecall) else ours
    each = [
        curve(*counts_above(m.column("knn", ["test"]), m.column("knn", ["away"])), data.more["grid"])
        for m in of.of("pets", "sio")
    ]
    points = np.stack([one for one, _ in each])
    assert row["mean"] == pytest.approx(points.mean(0))
    assert (row["low"].tolist(), row["high"].tolist()) == (points.min(0).tolist(), points.max(0).tolist())
    assert row["area"] == pytest.approx(np.mean([area for _, area in each]))
    (value,) = [
        value
        for value in figure.spec(data)["data"]["values"]
        if (value["detector"], value["set"], value["recipe"]) == ("knn", "away", "sio")
    ]
    assert value["label"] == f"sio  {row['area']:.1f}"
    assert value["mean"] == pytest.approx(points.mean(0), abs=0.051)


def test_the_area_is_that_of_the_table() -> None:
    of = table()
    rows = of.values.query("metric == 'auroc' and set == 'close' and detector == 'msp'").set_index("recipe")["mean"]
    found = Roc().data(of).rows.query("set == 'close' and detector == 'msp'").set_index("recipe")["area"]
    pd.testing.assert_series_equal(found, rows, check_names=False)


def test_prevalence_is_the_share_of_id() -> None:
    shares = PrecisionRecall().data(table()).more["prevalence"]
    assert shares == {part: pytest.approx(100 * 60 / (60 + COUNTS[part])) for part in ("close", "away", "far2")}


def test_shifted_sets_count_as_id() -> None:
    full = SETTINGS.model_copy(update={"far": {"pets": ["away"]}, "shifted": {"pets": ["far2"]}})
    of = table()
    model = of.of("pets", "plain")[0]
    ids = np.concatenate([model.column("knn", ["test"]), model.column("knn", ["far2"])])
    found = Roc().data(type(of)(full.model_copy(update={"seeds": [0]}), models=of.models)).rows
    area = found.query("detector == 'knn' and set == 'close' and recipe == 'plain'")["area"].iloc[0]
    labels, values = both(list(ids), list(model.column("knn", ["close"])))
    assert area == pytest.approx(100 * roc_auc_score(labels, values))

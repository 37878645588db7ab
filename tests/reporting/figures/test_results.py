"""Numbers of the figures that are drawn from a table's own CSV files."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthood.reporting.figures.accuracy import Accuracy
from synthood.reporting.figures.gains import WORDS, Gains
from synthood.reporting.figures.heat_map import HeatMap
from synthood.reporting.figures.results import main_metric
from synthood.reporting.figures.settings_curves import SettingsCurves, geometric
from toy_figures import SETTINGS, table


def with_p(p: float, gain: float, metric: str = "auroc") -> pd.DataFrame:
    rows = table().gains.query("metric == @metric and detector == 'msp' and set == 'near'")
    return rows.assign(gain=gain, p=p)


@pytest.mark.parametrize(
    ("p", "gain", "metric", "expected"),
    [
        (np.nan, 3.0, "auroc", ""),
        (0.05, 3.0, "auroc", "none"),
        (0.049, 3.0, "auroc", "better"),
        (0.049, -3.0, "auroc", "worse"),
        (0.049, 3.0, "fpr95_id_positive", "worse"),
        (0.049, -3.0, "fpr95_id_positive", "better"),
    ],
)
def test_the_mark_of_a_gain_agrees_with_its_corrected_p_value(
    p: float, gain: float, metric: str, expected: str
) -> None:
    of = replace(table(), gains=with_p(p, gain, metric))
    data = Gains().data(of)
    assert data.rows["verdict"].tolist() == [expected]
    assert Gains().spec(data)["data"]["values"][0]["verdict"] == [WORDS[expected]]


def test_gains_are_those_of_the_file() -> None:
    of = table()
    data = Gains().data(of)
    spec = Gains().spec(data)
    values = {value["shown"]: value for value in spec["data"]["values"]}
    assert next(iter(values)) == "AUROC, near"
    assert list(values)[-1] == "ID accuracy, test"
    assert "AUROC, close" not in values  # near is this set alone
    assert {"AUROC, far", "AUROC, away", "AUROC, far2"} <= values.keys()
    line = of.gains.query("metric == 'auroc' and set == 'far' and detector == 'knn'").iloc[0]
    place = values["AUROC, far"]["detector"].index("knn")
    for key in ("gain", "low", "high"):
        assert values["AUROC, far"][key][place] == pytest.approx(line[key], abs=0.005)


def test_of_mirrored_gains_the_first_is_shown() -> None:
    both = SETTINGS.model_copy(update={"baselines": ["plain", "sio"]})
    of = table(both)
    rows = Gains().data(of).rows
    assert len(of.gains) == 2 * len(table().gains)
    assert len(rows) == len(Gains().data(table()).rows)
    assert set(rows["label"]) == {"plain - sio"}


def test_a_table_without_baselines_has_no_gains() -> None:
    assert Gains().data(replace(table(), gains=table().gains[:0])).empty.startswith("The table names no baseline")


def test_the_heat_map_is_the_table() -> None:
    of = table()
    data = HeatMap().data(of)
    assert data.more["sets"] == ["close", "away", "far2"]
    row = data.rows.query("recipe == 'sio' and detector == 'knn'").iloc[0]
    rows = of.values.query("metric == 'auroc' and recipe == 'sio' and detector == 'knn'").set_index("set")["mean"]
    assert row["means"].tolist() == [rows[name] for name in ("close", "away", "far2")]


def test_without_auroc_the_first_metric_of_ood_sets_is_shown() -> None:
    of = table()
    assert main_metric(of) == "auroc"
    rates = replace(of, values=of.values[of.values["metric"] != "auroc"])
    assert main_metric(rates) == "fpr95_id_positive"
    assert HeatMap().data(rates).more["lower"]
    spec = HeatMap().spec(HeatMap().data(rates))
    assert spec["layer"][0]["encoding"]["color"]["scale"]["reverse"]
    alone = replace(of, values=of.values[of.values["metric"] == "id_accuracy"])
    assert main_metric(alone) is None
    for figure in (HeatMap(), Accuracy()):
        assert figure.data(alone).empty


def test_accuracy_and_detection_are_the_tables_means_and_intervals() -> None:
    of = table()
    row = Accuracy().data(of).rows.query("recipe == 'sio' and detector == 'knn' and set == 'far'").iloc[0]
    own = of.values.query("recipe == 'sio' and set == 'test'").iloc[0]
    other = of.values.query("recipe == 'sio' and set == 'far' and detector == 'knn' and metric == 'auroc'").iloc[0]
    assert row[["x", "x_low", "x_high"]].tolist() == own[["mean", "low", "high"]].tolist()
    assert row[["y", "y_low", "y_high"]].tolist() == other[["mean", "low", "high"]].tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.25, 0.5, 1.0, 1.5, 2.0, 8.0], True),
        ([500, 1500, 2500, 5000], True),
        ([10, 100, 1000], True),
        ([0.5, 0.6, 0.7, 0.8, 0.9, 0.95], False),
        ([1, 2, 3, 4], False),
        ([0, 1, 10], False),
        ([1, 10], False),
    ],
)
def test_geometric_values_have_a_logarithmic_axis(values: list[float], expected: bool) -> None:
    assert geometric(values) == expected


def test_a_curve_runs_over_the_values_in_order() -> None:
    settings = SETTINGS.model_copy(
        update={
            "recipes": ["plain", "a", "b", "c"],
            "varied": {"images_per_class": {"b": 1000.0, "a": 10.0, "c": 100.0}},
        }
    )
    of = table(settings)
    row = SettingsCurves().data(of).rows.query("detector == 'knn' and set == 'near'").iloc[0]
    assert (row["recipe"], row["x"]) == (["a", "c", "b"], [10.0, 100.0, 1000.0])
    means = of.values.query("set == 'near' and detector == 'knn' and metric == 'auroc'").set_index("recipe")["mean"]
    assert row["mean"] == [means[name] for name in ("a", "c", "b")]
    assert row["bases"] == {"plain": means["plain"]}
    (value,) = [
        v
        for v in SettingsCurves().spec(SettingsCurves().data(of))["layer"][0]["data"]["values"]
        if (v["detector"], v["set"]) == ("knn", "near")
    ]
    assert value["x"] == [1, 2, 3]
    picture = SettingsCurves().draw(SettingsCurves().data(of))
    assert picture.axes[0].get_xscale() == "log"


def test_a_curve_runs_over_datasets() -> None:
    names = ["all", "few", "some"]
    settings = SETTINGS.model_copy(
        update={
            "datasets": names,
            "near": {name: ["close"] for name in names},
            "far": {name: ["away", "far2"] for name in names},
            "varied_by_datasets": {"id.train_per_class": {"all": 1000.0, "few": 10.0, "some": 100.0}},
        }
    )
    of = table(settings)
    data = SettingsCurves().data(of)
    assert list(dict.fromkeys(data.rows["setting"])) == ["id.train_per_class, plain", "id.train_per_class, sio"]
    row = data.rows.query("detector == 'knn' and set == 'far' and setting == 'id.train_per_class, sio'").iloc[0]
    assert (row["recipe"], row["x"], row["bases"]) == (["few", "some", "all"], [10.0, 100.0, 1000.0], {})
    chosen = of.values.query("set == 'far' and detector == 'knn' and metric == 'auroc' and recipe == 'sio'")
    assert row["mean"] == [chosen.set_index("dataset")["mean"][name] for name in ("few", "some", "all")]
    assert len(SettingsCurves().draw(data).axes) == 4


def test_nothing_varied_is_said() -> None:
    assert (
        SettingsCurves().data(table()).empty
        == "No three recipes or datasets of the table differ in a single setting alone."
    )

"""Figures of odd and of long names, of numbers that are missing, of failed trainings, and of no OOD set."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Picture
from matplotlib.text import Text

from odd_names import ODD, REVERSED
from synthood.reporting import plot_results
from synthood.reporting.figures.base import FORMS, TableData, figures, kinds
from synthood.reporting.figures.style import RC
from synthood.reporting.results import csv_text
from synthood.reporting.short_names import CELL, NAME, short, shortened
from toy_figures import SETTINGS, history, image_files, renamed, table

KINDS = list(figures())
NAMES = ("pets", "plain", "a", "b", "c", "msp", "knn", "close", "away", "far2", "synthetic.alpha")
LONG = {name: f"{name}-{'long' * 20}"[:75] for name in NAMES}
"""As long as a configuration may have them, and alike at their end."""


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> TableData:
    """With images, and with recipes that differ in one setting."""
    varied = {"synthetic.alpha": {"a": 0.5, "b": 0.8, "c": 0.9}}
    settings = SETTINGS.model_copy(update={"recipes": ["plain", "a", "b", "c"], "varied": varied})
    return table(settings, images=image_files(tmp_path_factory.mktemp("images")))


@pytest.fixture(scope="module")
def long(usual: TableData, tmp_path_factory: pytest.TempPathFactory) -> TableData:
    return renamed(usual, LONG, tmp_path_factory.mktemp("long"), [f"{letter * 200}" for letter in "xyz"])


@pytest.fixture(scope="module")
def odd(usual: TableData, tmp_path_factory: pytest.TempPathFactory) -> TableData:
    """Each name is odd in its own way; the last class can be no text in UTF-8."""
    names = {name: f"{text}{place}" for place, (name, text) in enumerate(zip(NAMES, [*ODD.values()] * 2, strict=False))}
    return renamed(usual, names, tmp_path_factory.mktemp("odd"), [ODD["markup"], REVERSED, f"{ODD['latex']}\udc80"])


def drawn(kind: str, of: TableData) -> Picture:
    """A figure's picture, laid out; a warning is an error."""
    figure = figures()[kind]
    with matplotlib.rc_context(RC):
        picture = figure.draw(figure.data(of))
        picture.draw_without_rendering()
    return picture


def texts(picture: Picture) -> list[Text]:
    """Texts that are seen: of ticks those within the axis."""
    hidden = {
        id(tick.label1)
        for axes in picture.axes
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim())))
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not low <= tick.get_loc() <= high or not axes.axison
    }
    found = picture.findobj(lambda one: isinstance(one, Text) and one.get_visible() and bool(one.get_text().strip()))
    return [one for one in found if isinstance(one, Text) and id(one) not in hidden]


@pytest.mark.parametrize("kind", KINDS)
def test_long_names_stay_inside_the_picture(long: TableData, kind: str) -> None:
    picture = drawn(kind, long)
    left, low, right, high = picture.bbox.padded(2).extents
    boxes = {one.get_text(): one.get_window_extent().extents for one in texts(picture)}
    assert [text for text, (x0, y0, x1, y1) in boxes.items() if x0 < left or y0 < low or x1 > right or y1 > high] == []
    titles = [axes.title.get_window_extent() for axes in picture.axes if axes.title.get_text()]
    assert not any(one.overlaps(other) for one, other in combinations(titles, 2))
    assert all(axes.get_window_extent().width > 60 for axes in picture.axes)


def test_long_names_lose_their_middle_and_still_differ() -> None:
    assert (short("n" * NAME), len(short("n" * (NAME + 1)))) == ("n" * NAME, NAME)
    assert short("first-and-much-more-of-it-last") == "first-and-much-…-it-last"
    assert short(REVERSED) == r"a\u202eb\u2066c"
    alike = [f"{'a' * 30}{letter}{'z' * 30}" for letter in "pqr"]
    assert shortened([*alike, "b"], CELL) == [*(f"aaaaaaaaaaa…zzzzzz ({n})" for n in (1, 2, 3)), "b"]
    assert shortened(["", "", "a"]) == ["", "", "a"]


def test_a_legend_of_long_names_tells_all_lines_apart(long: TableData) -> None:
    (found,) = drawn("roc", long).legends
    assert [text.get_text() for text in found.get_texts()] == shortened(long.settings.recipes)
    assert len(set(shortened(long.settings.recipes))) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_odd_names_are_in_specifications_as_they_are(odd: TableData, kind: str) -> None:
    figure = figures()[kind]
    spec = figure.spec(figure.data(odd))
    text = json.dumps(spec, allow_nan=False, ensure_ascii=False)
    again = json.loads(text.encode().decode())
    assert again == spec
    shown = json.dumps(again["data" if "data" in again else "layer"]) + json.dumps(again.get("params"))
    names = odd.settings.detectors if kind == "run_time" else odd.settings.recipes
    assert all(json.dumps(name)[1:-1] in shown for name in (names[:1] if kind == "run_time" else names[1:]))
    drawn(kind, odd)


def test_odd_names_of_classes_are_letters(odd: TableData) -> None:
    """Also in mathematics' place; what reverses the reading direction, or is no UTF-8, is shown as an escape."""
    classes = [ODD["markup"], r"a\u202eb\u2066c", rf"{ODD['latex']}\udc80"]
    data = figures()["confusion"].data(odd)
    assert data.rows["classes"].iloc[0] == classes
    assert figures()["confusion"].spec(data)["data"]["values"][0]["label"][0] == ODD["markup"]
    axes = drawn("confusion", odd).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == shortened(classes, CELL)
    assert set(figures()["hardest"].data(odd).rows["called"]) == set(classes)
    (params,) = [p for p in figures()["ood_predictions"].spec(figures()["ood_predictions"].data(odd))["params"]
                 if p["name"] == "classes"]  # fmt: skip
    assert params["value"] == [classes]


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("kind", kinds("results"))
def test_numbers_that_are_none_leave_a_gap(usual: TableData, kind: str, every: bool) -> None:
    values, gains, numbers = usual.values.copy(), usual.gains.copy(), ["mean", "sd", "low", "high"]
    values.loc[(values["recipe"] == "a") & (values["metric"] != "id_accuracy") | every, numbers] = np.nan
    gains.loc[(gains["recipe"] == "a") | every, ["gain", "low", "high"]] = np.nan
    of = replace(usual, values=values, gains=gains)
    figure = figures()[kind]
    data = figure.data(of)
    json.dumps(figure.spec(data), allow_nan=False)
    drawn(kind, of)
    assert bool(data.empty) == every
    assert not every or "no number of an OOD metric" in data.empty or "have a seed in common" in data.empty


def test_ranks_are_of_what_has_numbers_alone(usual: TableData) -> None:
    """A recipe without a number on one set has no rank there, and all others lose that set."""
    values = usual.values.copy()
    lost = (values["recipe"] == "a") & (values["set"] == "away")
    values.loc[lost, "mean"] = np.nan
    figure = figures()["critical_difference"]
    data = figure.data(replace(usual, values=values))
    (_, recipes), (_, detectors) = data.more["panels"]
    assert (recipes.blocks, detectors.blocks) == (2 * 2, 3 * 4 - 1)
    assert recipes.ranks.sum() == pytest.approx(10)
    assert "Ranks of recipes are without 2 of 6 places, where a number is missing." in data.notes
    assert "Ranks of detectors are without 1 of 12 places, where a number is missing." in data.notes
    values.loc[values["recipe"] == "a", "mean"] = np.nan
    data = figure.data(replace(usual, values=values))
    assert data.more["panels"][0][1].names == ["plain", "b", "c"]
    assert data.notes[0] == "Without a number: a."


def test_gains_without_intervals_are_points(usual: TableData) -> None:
    """Such as those of the best over all detectors."""
    of = replace(usual, gains=usual.gains.assign(low=np.nan, high=np.nan))
    values = figures()["gains"].spec(figures()["gains"].data(of))["data"]["values"]
    assert {one for value in values for one in value["low"]} == {None}
    assert not any(gain is None for value in values for gain in value["gain"])
    drawn("gains", of)


def test_a_training_that_failed_has_no_curve(usual: TableData) -> None:
    """Its loss is no number from the second epoch on, or it ended before the first."""
    broken = history(0)
    broken.loc[1:, ["loss", "accuracy", "val_accuracy"]] = np.nan
    failed = {("pets", "a", 0): broken, ("pets", "a", 1): broken, ("pets", "b", 0): history(0)[:0]}
    of = replace(usual, histories={**usual.histories, **failed})
    figure = figures()["training"]
    (row,) = figure.data(of).rows.query("recipe == 'a' and quantity == 'training loss'").to_dict("records")
    assert np.isfinite(row["mean"]).tolist() == [True, False, False, False]
    (value,) = [
        value
        for value in figure.spec(figure.data(of))["data"]["values"]
        if (value["recipe"], value["quantity"]) == ("a", "training loss")
    ]
    assert value["mean"][1:] == [None, None, None]
    drawn("training", of)


def test_a_table_without_an_ood_set_says_so() -> None:
    nothing: dict[str, list[str]] = {"pets": []}
    of = table(SETTINGS.model_copy(update={"near": nothing, "far": nothing}))
    empty = {kind: figures()[kind].data(of).empty for kind in KINDS}
    assert {kind for kind, text in empty.items() if "OOD" in text} == {
        "heat_map", "critical_difference", "roc", "roc_log", "precision_recall", "accuracy", "ood_predictions",
    }  # fmt: skip
    for kind in KINDS:
        figure = figures()[kind]
        json.dumps(figure.spec(figure.data(of)), allow_nan=False)
        drawn(kind, of)


@pytest.mark.parametrize("name", ["NA", "null", "007", "1e3", "True"])
def test_names_that_csv_readers_take_for_something_else(name: str, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"recipes": [name, "sio"], "baselines": [name], "drawn": kinds("results")})
    of = table(settings)
    for place, rows in (("a.csv", of.values), ("g.csv", of.gains)):
        (tmp_path / place).write_text(csv_text(rows))
    outputs = [tmp_path / f"{kind}.{form}" for kind in settings.drawn for form in FORMS]
    words = ["--settings", settings.canonical(), "--values", tmp_path / "a.csv", "--gains", tmp_path / "g.csv"]
    plot_results.main(list(map(str, [*words, "--output", *outputs])))
    spec = json.loads((tmp_path / "heat_map.vl.json").read_text())
    means = {row["recipe"]: row["means"] for row in spec["data"]["values"] if row["detector"] == "knn"}
    own = of.values.query("recipe == @name and detector == 'knn' and metric == 'auroc'").set_index("set")["mean"]
    assert means[name] == pytest.approx([own[part] for part in ("close", "away", "far2")], abs=0.01)
    assert pd.notna(means["sio"]).all()

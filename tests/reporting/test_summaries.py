"""Average and best rows: SIO's Table 1 from its own rows, and what a table makes of toy scores."""

import numpy as np
import pandas as pd
import pytest

from synthood.errors import SynthoodError
from synthood.reporting.markdown_table import markdown
from synthood.reporting.published import read
from synthood.reporting.results import VALUES
from synthood.reporting.settings import OwnDetector, TableSettings, TabulateSettings
from synthood.reporting.statistics import Runs
from synthood.reporting.summaries import Averages, best_of
from synthood.reporting.tabulate import tabulate

ROWS = [row for row in read("sio-table1")[1] if row["dataset"] == "cifar10"]
BASE = {"CrossEntropy": "ce"}


def slug(training: str) -> str:
    base, _, sio = training.partition(" + ")
    return f"{BASE.get(base, base)}{'-sio' * bool(sio)}"


def sios_table() -> TableSettings:
    """Eleven detectors of cross-entropy, and six trainings with a detector of their own, each with and without SIO."""
    own = [row for row in ROWS if row["training"] not in ("CrossEntropy", "CrossEntropy + SIO")]
    return TableSettings(
        datasets=["cifar10"],
        recipes=["ce", "ce-sio"],
        seeds=[0],
        detectors=[row["detector"] for row in ROWS if row["training"] == "CrossEntropy"],
        baselines=["ce"],
        own_detectors=[
            OwnDetector(detector=row["detector"], recipes={"ce": row["training"], "ce-sio": f"{row['training']}-sio"})
            for row in own
            if " + " not in row["training"]
        ],
        summary=["average", "best"],
    )


def numbers() -> dict[tuple[str, str, str], dict[str, float]]:
    """By detector, set and metric: the percentage of each training."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in ROWS:
        for column, key in (
            ("near_auroc", (row["detector"], "near", "auroc")),
            ("far_auroc", (row["detector"], "far", "auroc")),
            ("id_accuracy", ("", "test", "id_accuracy")),
        ):
            found.setdefault(key, {})[slug(row["training"])] = float(row[column])
    return found


AVERAGE = {"near": [86.03, 88.93], "far": [91.97, 94.13], "test": [95.06, 95.62]}
BEST = {"near": [92.26, 92.94], "far": [97.16, 97.09], "test": [96.48, 96.48]}


def test_averages_are_those_of_sios_table() -> None:
    table = sios_table()
    assert len(table.methods) == 17
    averages = Averages(TabulateSettings(table=table, near={}, far={}))
    for (detector, part, metric), of in numbers().items():
        runs = {recipe: Runs(np.array([value]), np.zeros((1, 2)), (0,)) for recipe, value in of.items()}
        averages.add(detector, (part, metric), runs)
    for (part, _), means in averages.means().items():
        assert [means[name].values[0] for name in table.recipes] == pytest.approx(AVERAGE[part], abs=0.0051)


def test_best_are_those_of_sios_table() -> None:
    values = pd.DataFrame(
        [
            ["cifar10", recipe, detector, part, metric, value, np.nan, np.nan, np.nan, 3]
            for (detector, part, metric), of in numbers().items()
            for recipe, value in of.items()
        ],
        columns=VALUES,
    )
    rows = best_of(values, sios_table())
    found = {(row["set"], row["recipe"]): row["mean"] for row in rows}
    assert found == {(part, name): best[i] for part, best in BEST.items() for i, name in enumerate(("ce", "ce-sio"))}


TABLE = TableSettings(
    datasets=["d"],
    recipes=["ce", "sio"],
    seeds=[0, 1],
    detectors=["msp", "knn"],
    baselines=["ce"],
    columns=["auroc", "id_accuracy"],
    resamples=10,
    own_detectors=[OwnDetector(detector="godin", recipes={"ce": "godin", "sio": "godin-sio"})],
    summary=["average", "best"],
)


def scores(table: TableSettings) -> dict[tuple[str, str, int], pd.DataFrame]:
    """Recipes with a detector of their own have no scores by others."""
    found = {}
    for place, recipe in enumerate(table.all_recipes):
        for seed in table.seeds:
            random = np.random.default_rng([place, seed])
            parts = np.repeat(["test", "away"], [12, 9])
            columns = {name: random.random(21) + 0.3 * (parts == "test") for name in table.detectors_of(recipe)}
            found["d", recipe, seed] = pd.DataFrame(
                {"part": parts, "label": 0, "prediction": random.integers(0, 2, 21)} | columns
            )
    return found


def test_rows_with_a_detector_of_their_own_averages_and_best() -> None:
    settings = TabulateSettings(table=TABLE, near={"d": []}, far={"d": ["away"]})
    results = tabulate(scores(TABLE), settings)
    means = results.values.set_index(["recipe", "detector", "set", "metric"])["mean"]
    gains = results.gains.set_index(["recipe", "detector", "base", "set", "metric"])["gain"]
    area = [(recipe, detector) for detector in ("msp", "knn") for recipe in ("ce", "sio")]
    area += [("godin", "godin"), ("godin-sio", "godin")]
    by = {place: means[(*place, "far", "auroc")] for place in area}
    assert gains["godin-sio", "godin", "godin", "far", "auroc"] == pytest.approx(
        by["godin-sio", "godin"] - by["godin", "godin"]
    )
    for recipe, own in (("ce", "godin"), ("sio", "godin-sio")):
        three = [by[recipe, "msp"], by[recipe, "knn"], by[own, "godin"]]
        assert means[recipe, "average", "far", "auroc"] == pytest.approx(np.mean(three))
        assert means[recipe, "best", "far", "auroc"] == max(three)
        accuracy = [means[name, "", "test", "id_accuracy"] for name in (recipe, recipe, own)]
        assert means[recipe, "average", "test", "id_accuracy"] == pytest.approx(np.mean(accuracy))
    for row in ("average", "best"):
        expected = means["sio", row, "far", "auroc"] - means["ce", row, "far", "auroc"]
        assert gains["sio", row, "ce", "far", "auroc"] == pytest.approx(expected)
    lines = [line.split(" | ")[:2] for line in markdown(results, TABLE).splitlines() if line.startswith("| ")]
    assert [" ".join(line).strip("| ") for line in lines[2:12]] == [
        *("msp ce", "msp sio", "knn ce", "knn sio", "godin godin", "godin godin-sio"),
        *("average ce", "average sio", "best ce", "best sio"),
    ]
    assert "| sio (average) |" in markdown(results, TABLE)


def test_the_gain_of_the_average_can_be_tested() -> None:
    raw = TABLE.model_dump() | {"seeds": [0, 1, 2, 3, 4], "tests": {"detectors": ["average"], "sets": ["far"]}}
    table = TableSettings.model_validate(raw)
    gains = tabulate(scores(table), TabulateSettings(table=table, near={"d": []}, far={"d": ["away"]})).gains
    assert gains[gains["p"].notna()]["detector"].tolist() == ["average"]


def test_averages_need_seeds_in_common() -> None:
    some = {run: one for run, one in scores(TABLE).items() if run[2] != ("godin" in run[1])}
    with pytest.raises(SynthoodError, match="summary: the models of 'godin' have no seed in common"):
        tabulate(some, TabulateSettings(table=TABLE, near={"d": []}, far={"d": ["away"]}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"own_detectors": [{"detector": "msp", "recipes": {"ce": "sio"}}]}, "'sio' by 'msp' is given twice"),
        ({"own_detectors": [{"detector": "godin", "recipes": {"kd": "godin"}}]}, "'kd' is not one of the table's"),
        ({"detectors": ["best", "msp"]}, "summary: 'best' is given twice, or is a detector's name"),
    ],
)
def test_rows_that_would_be_mistaken_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TableSettings.model_validate(TABLE.model_dump() | change)

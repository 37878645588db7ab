"""The long table against repeated samples, one by one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm as normal
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from command_lines import writing
from synthood.common.identity import FORMAT, seal
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.ensemble import left_out
from synthood.evaluation.metrics.areas import Auroc
from synthood.evaluation.ranking import OOD_METRICS, Ranking, aurc
from synthood.reporting import tabulate as module
from synthood.reporting.comparisons import holm, p_value
from synthood.reporting.markdown_table import markdown
from synthood.reporting.measure import Scored, Scores, all_runs, ood_runs
from synthood.reporting.render import note
from synthood.reporting.results import Results
from synthood.reporting.runs import read_scores
from synthood.reporting.settings import ComparisonSettings, TableSettings, TabulateSettings
from synthood.reporting.statistics import Resamples, difference
from synthood.reporting.tabulate import notes_of, tabulate

SIZES = {"test": 14, "close": 6, "closer": 9, "away": 5}
RESAMPLES = 25
TABLE = TableSettings(
    datasets=["digits"],
    recipes=["sio", "plain"],
    seeds=[0, 1, 2],
    detectors=["msp", "knn"],
    baselines=["plain"],
    columns=["auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive", "id_accuracy"],
    resamples=RESAMPLES,
    confidence=0.8,
)
SETTINGS = TabulateSettings(table=TABLE, near={"digits": ["close", "closer"]}, far={"digits": ["away"]})
KEYS = ["recipe", "detector", "set", "metric"]


def frame(recipe: str, seed: int) -> pd.DataFrame:
    random = np.random.default_rng([seed, len(recipe)])
    rows = sum(SIZES.values())
    parts = np.repeat(list(SIZES), list(SIZES.values()))
    lead = (parts == "test") * (0.7 if recipe == "sio" else 0.4)
    return pd.DataFrame(
        {
            "part": parts,
            "label": np.where(parts == "test", np.arange(rows) % 3, -1),
            "prediction": random.integers(0, 3, rows),
            "msp": (random.random(rows) + lead).round(1).astype(np.float32),
            "knn": (random.random(rows) + lead).round(2).astype(np.float32),
        }
    )


@pytest.fixture(scope="module")
def scores() -> Scores:
    return {("digits", recipe, seed): frame(recipe, seed) for recipe in TABLE.recipes for seed in TABLE.seeds}


@pytest.fixture(scope="module")
def results(scores: Scores) -> Results:
    return tabulate(scores, SETTINGS)


@pytest.fixture(scope="module")
def table(results: Results) -> pd.DataFrame:
    return results.values


def area(frame: pd.DataFrame, detector: str, part: str, ids: np.ndarray, oods: np.ndarray) -> float:
    """AUROC by scikit-learn with each sample repeated as often as it was drawn."""
    ids = np.repeat(frame.loc[frame["part"] == "test", detector].to_numpy(), ids.astype(int))
    oods = np.repeat(frame.loc[frame["part"] == part, detector].to_numpy(), oods.astype(int))
    return float(roc_auc_score([1] * len(ids) + [0] * len(oods), np.concatenate([ids, oods])))


def resampled_areas(scores: Scores, recipe: str, detector: str, parts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over parts per seed, as measured [S] and under the documented resamples of images [S,B]."""
    resamples = Resamples(RESAMPLES)
    ids = resamples.weights("digits/test", SIZES["test"])
    measured, drawn = np.zeros(3), np.zeros((3, RESAMPLES))
    for seed in range(3):
        one = scores["digits", recipe, seed]
        for part in parts:
            oods, full = (
                resamples.weights(f"digits/{part}", SIZES[part]),
                (np.ones(SIZES["test"]), np.ones(SIZES[part])),
            )
            measured[seed] += area(one, detector, part, *full) / len(parts)
            for b in range(RESAMPLES):
                drawn[seed, b] += area(one, detector, part, ids[b], oods[b]) / len(parts)
    return measured, drawn


def interval(measured: np.ndarray, drawn: np.ndarray, least: float) -> list[float]:
    """80 %: seeds' variance of the mean by Student's t, images' shared variance by the normal, weighted by both.

    At least the normal interval of the mean of these runs over the resamples; in percent.
    """
    pairs = [np.cov(drawn[a], drawn[b])[0, 1] for a, b in ((0, 1), (0, 2), (1, 2))]
    seeds, images = measured.var(ddof=1) / 3, max(float(np.mean(pairs)), 0.0)
    reach = (seeds * student.ppf(0.9, 2) + images * normal.ppf(0.9)) / np.sqrt(seeds + images)
    reach = max(reach, normal.ppf(0.9) * drawn.mean(0).std(ddof=1))
    return [100 * max(measured.mean() - reach, least), 100 * min(measured.mean() + reach, 1.0)]


@pytest.mark.parametrize(("name", "parts"), [("closer", ["closer"]), ("near", ["close", "closer"]), ("far", ["away"])])
def test_intervals_equal_repeated_samples(scores: Scores, results: Results, name: str, parts: list[str]) -> None:
    line, over = (rows.set_index(KEYS).loc[("sio", "msp", name, "auroc")] for rows in results)
    own, base = (resampled_areas(scores, recipe, "msp", parts) for recipe in ("sio", "plain"))
    assert [line["low"], line["high"]] == pytest.approx(interval(*own, 0.0), abs=1e-7)
    expected = interval(own[0] - base[0], own[1] - base[1], -1.0)
    assert [over["low"], over["high"]] == pytest.approx(expected, abs=1e-7)


def measured(scores: Scores, recipe: str, detector: str, part: str, metric: str) -> np.ndarray:
    values = []
    for seed in TABLE.seeds:
        one = scores["digits", recipe, seed]
        pair = (one.loc[one["part"] == name, detector].to_numpy() for name in ("test", part))
        values.append(100 * float(Ranking(*pair).metrics()[metric][0]))
    return np.array(values)


@pytest.mark.parametrize("metric", [metric.key for metric in OOD_METRICS])
@pytest.mark.parametrize("detector", TABLE.detectors)
def test_means_deviations_and_gains(scores: Scores, results: Results, detector: str, metric: str) -> None:
    lines, gains = (rows.set_index(KEYS) for rows in results)
    for recipe in TABLE.recipes:
        by_part = {part: measured(scores, recipe, detector, part, metric) for part in ("close", "closer", "away")}
        by_part["near"], by_part["far"] = (by_part["close"] + by_part["closer"]) / 2, by_part["away"]
        for part, values in by_part.items():
            line = lines.loc[(recipe, detector, part, metric)]
            assert line["mean"] == pytest.approx(values.mean(), abs=1e-10)
            assert line["sd"] == pytest.approx(values.std(ddof=1), abs=1e-10)
            if recipe == "sio":
                expected = line["mean"] - lines.loc[("plain", detector, part, metric)]["mean"]
                assert gains.loc[(recipe, detector, part, metric)]["gain"] == pytest.approx(expected, abs=1e-10)


def test_accuracy(scores: Scores, table: pd.DataFrame) -> None:
    right = []
    for seed in TABLE.seeds:
        one = scores["digits", "sio", seed]
        test = one[one["part"] == "test"]
        right.append((test["label"] == test["prediction"]).to_numpy(float))
    line = table.set_index(KEYS).loc[("sio", "", "test", "id_accuracy")]
    assert line["mean"] == pytest.approx(100 * np.mean(right))
    drawn = np.stack(right) @ Resamples(RESAMPLES).weights("digits/test", SIZES["test"]).T / SIZES["test"]
    assert [line["low"], line["high"]] == pytest.approx(interval(np.mean(right, axis=1), drawn, 0.0))


def test_a_base_has_no_gain_over_itself(results: Results) -> None:
    assert set(results.gains["recipe"]) == {"sio"}
    assert len(results.gains) == 2 * 5 * 5 + 1
    assert (results.gains["gain"] != 0.0).any()


def test_every_cell_of_the_design_stands_once(table: pd.DataFrame) -> None:
    assert len(table) == 2 * (2 * 5 * 5 + 1)
    assert not table.duplicated(["dataset", *KEYS]).any()
    assert list(dict.fromkeys(table["set"])) == ["test", "close", "closer", "away", "near", "far"]
    assert (table["low"] <= table["high"]).all()


SEVERAL = TABLE.model_copy(update={"recipes": ["sio", "plain", "distilled"], "baselines": ["distilled", "plain"]})


@pytest.fixture(scope="module")
def more_scores() -> Scores:
    return {("digits", recipe, seed): frame(recipe, seed) for recipe in SEVERAL.recipes for seed in SEVERAL.seeds}


@pytest.fixture(scope="module")
def several(more_scores: Scores) -> Results:
    return tabulate(more_scores, SETTINGS.model_copy(update={"table": SEVERAL}))


def test_every_value_is_in_one_row_and_every_gain_over_a_base_in_another(several: Results) -> None:
    values, gains = several
    assert len(values) == 3 * (2 * 5 * 5 + 1)
    assert not values.duplicated(["dataset", *KEYS]).any()
    assert len(gains) == (2 + 1 + 1) * (2 * 5 * 5 + 1)
    assert not gains.duplicated(["dataset", *KEYS, "base"]).any()
    assert set(zip(gains["recipe"], gains["base"], strict=True)) == {
        ("sio", "distilled"),
        ("sio", "plain"),
        ("plain", "distilled"),
        ("distilled", "plain"),
    }


def test_gains_are_differences_to_each_base(several: Results) -> None:
    means = several.values.set_index(KEYS)["mean"]
    for line in several.gains.to_dict("records"):
        item = (line["detector"], line["set"], line["metric"])
        expected = means[(line["recipe"], *item)] - means[(line["base"], *item)]
        assert line["gain"] == pytest.approx(expected, abs=1e-10)
    assert several.gains["gain"].abs().max() > 5


def test_two_bases_gain_over_each_other_with_turned_signs(several: Results) -> None:
    gains = several.gains
    one = gains[(gains["recipe"] == "distilled") & (gains["base"] == "plain")].set_index(KEYS[1:])
    other = gains[(gains["recipe"] == "plain") & (gains["base"] == "distilled")].set_index(KEYS[1:])
    assert (one["gain"] != 0).mean() > 0.5
    for found, turned in (("gain", "gain"), ("low", "high"), ("high", "low")):
        assert one[found].to_numpy() == pytest.approx(-other[turned].to_numpy(), abs=1e-10)


def test_intervals_over_each_base_equal_repeated_samples(more_scores: Scores, several: Results) -> None:
    lines = several.gains.set_index([*KEYS, "base"])
    own = resampled_areas(more_scores, "sio", "knn", ["away"])
    for base in SEVERAL.baselines:
        line = lines.loc[("sio", "knn", "away", "auroc", base)]
        other = resampled_areas(more_scores, base, "knn", ["away"])
        expected = interval(own[0] - other[0], own[1] - other[1], -1.0)
        assert [line["low"], line["high"]] == pytest.approx(expected, abs=1e-7)


def test_another_base_leaves_the_rows_of_the_first_as_they_are(more_scores: Scores, several: Results) -> None:
    alone = SEVERAL.model_copy(update={"baselines": ["plain"]})
    values, gains = tabulate(more_scores, SETTINGS.model_copy(update={"table": alone}))
    pd.testing.assert_frame_equal(values, several.values)
    over = several.gains[several.gains["base"] == "plain"].reset_index(drop=True)
    pd.testing.assert_frame_equal(gains, over)


def test_notes_say_what_rows_rest_on() -> None:
    assert notes_of(SETTINGS) == {}
    told = SETTINGS.model_copy(update={"evidence": {"digits": "Sets."}, "ensembles": ["mean"], "priors": "sio: more."})
    assert notes_of(told) == {
        "digits": "Sets.",
        "One model of all seeds, its interval for new seeds by the jackknife over its models, from three on, "
        "and for new images": "mean.",
        "Generative prior, so not without outside data": "sio: more.",
    }
    assert "Generative prior, so not without outside data: sio: more." in note(TABLE, notes_of(told))


def test_detectors_that_tell_few_images_apart_are_noted() -> None:
    """Two confidences of 7 and 7 images have 42 of 91 pairs, of 8 and 6 images 43: the largest share is shown."""
    scores = {("digits", recipe, 0): frame(recipe, 0) for recipe in ("sio", "plain")}
    for recipe, low in (("sio", 7), ("plain", 8)):
        one = scores["digits", recipe, 0]
        one["msp"] = one["knn"] = np.arange(len(one), dtype=np.float32)
        one.loc[one["part"] == "test", "knn"] = (np.arange(14) >= low).astype(np.float32)
    heading = "Many ID images of equal confidence, so that much of the order is not known"
    one_seed = SETTINGS.model_copy(update={"table": TABLE.model_copy(update={"seeds": [0]})})
    assert notes_of(one_seed, scores) == {heading: "knn, 47.3 % of pairs with plain on digits."}


def test_nothing_is_tested_with_three_seeds(several: Results) -> None:
    assert several.gains["p"].isna().all()


def test_p_values_of_five_seeds_are_corrected_together() -> None:
    """Of the first detector's AUROC on near and far alone; two baselines over each other are one comparison."""
    five = SEVERAL.model_copy(update={"seeds": [0, 1, 2, 3, 4], "columns": ["auroc"]})
    scores = {("digits", recipe, seed): frame(recipe, seed) for recipe in five.recipes for seed in five.seeds}
    gains = tabulate(scores, SETTINGS.model_copy(update={"table": five})).gains
    tested = gains[gains["p"].notna()]
    assert set(tested["detector"]) == {"msp"}
    assert set(tested["set"]) == {"near", "far"}
    assert (tested["recipe"] != tested["base"]).all()
    assert len(tested) == 2 * (1 + 1 + 2)
    runs = dict(all_runs(scores, SETTINGS.model_copy(update={"table": five}), "digits", Resamples(RESAMPLES)))
    once = tested[(tested["recipe"] != "plain") | (tested["base"] != "distilled")]
    single = [
        p_value(gain)
        for line in once.to_dict("records")
        for found in [runs["msp", line["set"], "auroc"]]
        if (gain := difference(found[line["recipe"]], found[line["base"]]))
    ]
    assert once["p"].to_numpy() == pytest.approx(holm(single))
    assert len(single) == 2 * 3
    assert min(single) < tested["p"].min()
    mirrored = tested.set_index(["set", "recipe", "base"])["p"]
    assert mirrored["near", "plain", "distilled"] == mirrored["near", "distilled", "plain"]


FIVE = TABLE.model_copy(update={"seeds": [0, 1, 2, 3, 4], "columns": ["auroc", "id_accuracy"]})


@pytest.mark.parametrize(
    ("single", "marked"),
    [
        ({}, {"": 5, "msp": 5, "knn": 5}),
        ({"ensembles": ["msp"]}, {"": 5, "msp": 1, "knn": 5}),
        ({"fixed": ["sio", "plain"]}, {"": 1, "msp": 1, "knn": 1}),
    ],
)
def test_one_model_for_all_seeds_is_one_run(single: dict[str, list[str]], marked: dict[str, int]) -> None:
    """Else its seeds agree by nature, and five of them are tested."""
    scores = {("digits", recipe, seed): frame(recipe, seed) for recipe in FIVE.recipes for seed in FIVE.seeds}
    if "ensembles" in single:
        for (_, recipe, _), one in scores.items():
            one["msp"] = scores["digits", recipe, 0]["msp"]
    rows, gains = tabulate(scores, SETTINGS.model_copy(update={"table": FIVE, **single}))
    assert rows.groupby("detector")["seeds"].unique().map(list).to_dict() == {k: [v] for k, v in marked.items()}
    assert (rows["sd"].isna() == (rows["seeds"] == 1)).all()
    assert gains.groupby("detector")["seeds"].unique().map(list).to_dict() == {k: [v] for k, v in marked.items()}
    assert set(gains.loc[gains["p"].notna(), "detector"]) == ({"msp"} if marked["msp"] == 5 else set())


def five_seeds(**update: object) -> Results:
    table = SEVERAL.model_copy(update={"seeds": [0, 1, 2, 3, 4], "columns": ["auroc", "id_accuracy"]} | update)
    scores = {("digits", recipe, seed): frame(recipe, seed) for recipe in table.recipes for seed in table.seeds}
    return tabulate(scores, SETTINGS.model_copy(update={"table": table}))


def test_tests_select_detectors_sets_and_metrics() -> None:
    asked = ComparisonSettings(detectors=["knn"], sets=["closer", "test"], metrics=["auroc", "id_accuracy"])
    gains = five_seeds(tests=asked).gains
    tested = gains[gains["p"].notna()]
    assert set(zip(tested["detector"], tested["set"], tested["metric"], strict=True)) == {
        ("knn", "closer", "auroc"),
        ("", "test", "id_accuracy"),
    }
    assert len(tested) == 2 * 4


def test_detectors_are_compared_with_each_other() -> None:
    values, gains = five_seeds(tests=ComparisonSettings(detector_baselines=["msp"]), baselines=[])
    assert set(zip(gains["detector"], gains["base_detector"], strict=True)) == {("knn", "msp")}
    assert (gains["recipe"] == gains["base"]).all()
    assert (len(gains), gains["p"].notna().all()) == (3 * 2, True)
    means = values.set_index(KEYS)["mean"]
    for line in gains.to_dict("records"):
        item = (line["set"], line["metric"])
        expected = means[(line["recipe"], "knn", *item)] - means[(line["recipe"], "msp", *item)]
        assert line["gain"] == pytest.approx(expected, abs=1e-10)


def test_a_table_without_a_baseline_has_no_gains(scores: Scores) -> None:
    alone = TableSettings.model_validate(TABLE.model_dump(exclude={"baselines"}))
    results = tabulate(scores, SETTINGS.model_copy(update={"table": alone}))
    assert results.gains.empty
    text = markdown(results, alone)
    assert "gain" not in text.lower()
    assert "| detector | recipe | near | far | close | closer | away |" in text


def test_models_may_be_missing_and_are_named(scores: Scores) -> None:
    some = {run: one for run, one in scores.items() if run[1:] not in (("sio", 1), ("plain", 0))}
    results = tabulate(some, SETTINGS)
    sio = {line["recipe"]: line["seeds"] for line in results.values.to_dict("records")}
    assert sio == {"sio": 2, "plain": 2}
    assert set(results.gains["seeds"]) == {1}
    values = {seed: measured(scores, recipe, "knn", "away", "auroc")[2] for recipe, seed in (("sio", 0), ("plain", 1))}
    over = results.gains.set_index(KEYS).loc[("sio", "knn", "away", "auroc")]
    assert over["gain"] == pytest.approx(values[0] - values[1])
    notes = notes_of(SETTINGS, some)
    assert notes["Models that are missing, so fewer seeds"] == "sio on digits, seed 1; plain on digits, seed 0."
    without = {run: one for run, one in scores.items() if run[1] != "plain"}
    with pytest.raises(SynthoodError, match="no scores of recipe 'plain' on 'digits'; score its models, or leave it"):
        tabulate(without, SETTINGS)
    apart = {run: one for run, one in scores.items() if run[1:] in (("sio", 1), ("plain", 0))}
    assert "– no seed in common" in markdown(tabulate(apart, SETTINGS), TABLE)


def test_a_gain_over_one_model_is_not_tested() -> None:
    scores = {("digits", recipe, seed): frame(recipe, seed) for recipe in FIVE.recipes for seed in FIVE.seeds}
    values, gains = tabulate(scores, SETTINGS.model_copy(update={"table": FIVE, "fixed": ["plain"]}))
    sio = values[values["recipe"] == "sio"]
    assert sio["sd"].notna().all()
    assert (sio["seeds"] == 5).all()
    assert (gains["seeds"] == 1).all()
    assert gains["p"].isna().all()


def test_a_dataset_may_have_near_sets_alone(scores: Scores) -> None:
    settings = SETTINGS.model_copy(update={"far": {"digits": []}})
    results = tabulate(scores, settings)
    assert list(dict.fromkeys(results.values["set"])) == ["test", "close", "closer", "near"]
    text = markdown(results, TABLE)
    assert "| detector | recipe | near | gain near | close | closer |" in text
    assert "far OOD" not in text


def test_only_asked_columns(scores: Scores) -> None:
    asked = TABLE.model_copy(update={"columns": ["fpr95_id_positive"], "detectors": ["knn"]})
    rows = tabulate(scores, SETTINGS.model_copy(update={"table": asked})).values
    assert set(rows["metric"]) == {"fpr95_id_positive"}
    assert set(rows["detector"]) == {"knn"}


def test_adding_a_recipe_or_detector_leaves_other_rows_as_they_are(scores: Scores, table: pd.DataFrame) -> None:
    """The resamples are shared and named, so no row depends on what else is in the table."""
    alone = TABLE.model_copy(update={"recipes": ["plain"], "detectors": ["knn"]})
    rows = tabulate(scores, SETTINGS.model_copy(update={"table": alone})).values
    same = table[(table["recipe"] == "plain") & table["detector"].isin(["", "knn"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, same)


def test_unreadable_scores_are_named(tmp_path: Path) -> None:
    file = tmp_path / "scores.parquet"
    with pytest.raises(SynthoodError, match=r"scores\.parquet: not found"):
        read_scores(file)
    file.write_bytes(b"not parquet at all")
    with pytest.raises(SynthoodError, match=r"scores\.parquet: damaged, or not written by this pipeline"):
        read_scores(file)


@pytest.mark.parametrize("table", [TABLE, SEVERAL], ids=["one base", "several"])
def test_the_stage_writes_the_table_three_times(
    more_scores: Scores, table: TableSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    settings = SETTINGS.model_copy(update={"table": table})
    scores = {run: one for run, one in more_scores.items() if run[1] in table.recipes}
    files = []
    for (_, recipe, seed), one in scores.items():
        files.append(tmp_path / f"{recipe}{seed}.parquet")
        one.to_parquet(files[-1])
        seal(files[-1], files[-1], {"format": FORMAT})
    outputs = [
        tmp_path / f"table{kind}"
        for kind in (".csv", "-gains.csv", ".md", ".html", ".tex", "-wide.csv", "-leaderboard.csv")
    ]
    words = ["--settings", settings.canonical(), "--scores", *map(str, files), *writing(module.main, outputs)]
    module.main(words)
    expected = tabulate(scores, settings)
    for file, rows, numbers in zip(outputs, expected, (["mean", "sd"], ["gain"]), strict=False):
        written = pd.read_csv(file, keep_default_na=False)
        assert list(written.columns) == list(rows.columns)
        assert written[KEYS].equals(rows[KEYS])
        for column in (*numbers, "low", "high", "seeds"):
            assert written[column].to_numpy(float) == pytest.approx(rows[column].to_numpy(), abs=5.1e-5)
    text, page = outputs[2].read_text(), outputs[3].read_text()
    assert text.count("| sio |") == 5 * 2 + 1
    assert page.count("<table>") == 6
    over = [f"gain near over {base}" for base in table.baselines] if len(table.baselines) > 1 else ["gain near"]
    for name in over:
        assert text.count(f"| {name} |") == page.count(f">{name}</button></th>") == 5
    latex = outputs[4].read_text()
    assert latex.count(r"\begin{tabular}") == latex.count(r"\bottomrule") == 6
    assert len(pd.read_csv(outputs[5])) == len(pd.read_csv(outputs[6])) == 2 * len(table.recipes)
    # A base's dashes: near and far of each detector and metric, and accuracy.
    assert text.count("| – |") == page.count(">–<") == len(table.baselines) * (5 * 2 * 2 + 1)


def test_the_full_spectrum_counts_shifted_sets_as_id(scores: Scores) -> None:
    settings = SETTINGS.model_copy(update={"shifted": {"digits": ["closer"]}, "near": {"digits": ["close"]}})
    made = tabulate(scores, settings).values.set_index(KEYS)["mean"] / 100
    for recipe in TABLE.recipes:
        frames = [scores["digits", recipe, seed] for seed in TABLE.seeds]
        ids = [f[f["part"].isin(["test", "closer"])] for f in frames]
        right = [(i["label"] == i["prediction"]).mean() for i in ids]
        assert made[recipe, "", "test", "id_accuracy"] == pytest.approx(np.mean(right))
        for part in ("close", "away"):
            areas = []
            for f, i in zip(frames, ids, strict=True):
                ood = f[f["part"] == part]["knn"]
                areas.append(roc_auc_score(np.repeat([1, 0], [len(i), len(ood)]), np.concatenate([i["knn"], ood])))
            assert made[recipe, "knn", part, "auroc"] == pytest.approx(np.mean(areas))


def test_resamples_of_the_full_spectrum_draw_each_id_set_by_itself(scores: Scores) -> None:
    frames, resamples = [scores["digits", "sio", 0]], Resamples(RESAMPLES)
    found = ood_runs(
        [Scored(frame) for frame in frames], "msp", "away", "digits", resamples, [Auroc()], ["test", "closer"]
    )["auroc"]
    values = {n: frames[0].loc[frames[0]["part"] == n, "msp"].to_numpy() for n in SIZES}
    for row in range(RESAMPLES):
        weights = {n: resamples.weights(f"digits/{n}", SIZES[n])[row] for n in ("test", "closer", "away")}
        ids = np.concatenate([np.repeat(values[n], weights[n]) for n in ("test", "closer")])
        ood = np.repeat(values["away"], weights["away"])
        area = roc_auc_score(np.repeat([1, 0], [len(ids), len(ood)]), np.concatenate([ids, ood]))
        assert found.resampled[0, row] == pytest.approx(area)


@pytest.mark.parametrize(("role", "sets"), [("near", ["close", "closer"]), ("far", ["away"])])
def test_a_table_of_one_role_alone(scores: Scores, table: pd.DataFrame, role: str, sets: list[str]) -> None:
    roles = {"near": {"digits": []}, "far": {"digits": []}, role: {"digits": sets}}
    settings = SETTINGS.model_copy(update=roles)
    alone = tabulate(scores, settings).values
    expected = table[table["set"].isin(["test", role, *sets])].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, expected)
    text = markdown(tabulate(scores, settings), TABLE)
    heads = [line.split(" | ") for line in text.splitlines() if line.startswith("| detector")]
    assert [head[2:] for head in heads] == [[role, f"gain {role}", *sets[:-1], f"{sets[-1]} |"]] * 5


def test_selective_metrics_are_of_each_detector_on_id_images(scores: Scores) -> None:
    asked = TABLE.model_copy(update={"columns": ["ece", "aurc", "augrc", "auroc"]})
    with_probability = {run: one.assign(probability=one["msp"].clip(0, 1)) for run, one in scores.items()}
    results = tabulate(with_probability, SETTINGS.model_copy(update={"table": asked}))
    lines = results.values.set_index(KEYS)
    for recipe in asked.recipes:
        for detector in asked.detectors:
            areas = []
            for seed in asked.seeds:
                test = scores["digits", recipe, seed].query("part == 'test'")
                areas.append(100 * aurc(test[detector].to_numpy(), (test["label"] == test["prediction"]).to_numpy()))
            line = lines.loc[(recipe, detector, "test", "aurc")]
            assert [line["mean"], line["sd"]] == pytest.approx([np.mean(areas), np.std(areas, ddof=1)])
    assert set(results.values.loc[results.values["metric"] == "augrc", "detector"]) == {"msp", "knn"}
    text = markdown(results, asked)
    assert "## AUGRC on digits, %\n\n| detector | recipe | AUGRC | gain |" in text
    assert "## ECE on digits, %\n\n| recipe | ECE | gain |" in text


def test_an_ensemble_is_uncertain_by_the_jackknife_over_its_models(scores: Scores) -> None:
    """Its interval grows by what the AUROC changes when a model is left out."""
    settings = SETTINGS.model_copy(update={"ensembles": ["msp"]})
    plain = tabulate(scores, settings).values.set_index(KEYS).loc[("sio", "msp", "away", "auroc")]
    random, made = np.random.default_rng(7), {}
    for run, one in scores.items():
        moved = {left_out("msp", i): one["msp"] + 0.3 * random.random(len(one)) for i in range(4)}
        made[run] = one.assign(**moved)
    found = tabulate(made, settings).values.set_index(KEYS).loc[("sio", "msp", "away", "auroc")]
    first = made["digits", "sio", 0]
    without = np.array([
        roc_auc_score([1] * 14 + [0] * 5, first.loc[first["part"].isin(["test", "away"]), left_out("msp", i)])
        for i in range(4)
    ])  # fmt: skip
    seeds = 3 / 4 * ((without - without.mean()) ** 2).sum()
    images = ((plain["mean"] - plain["low"]) / 100 / normal.ppf(0.9)) ** 2
    reach = (seeds * student.ppf(0.9, 3) + images * normal.ppf(0.9)) / np.sqrt(seeds + images)
    assert found["mean"] == plain["mean"]
    assert found["mean"] - found["low"] == pytest.approx(100 * reach)
    assert found["seeds"] == 1

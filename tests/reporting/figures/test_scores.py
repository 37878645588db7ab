"""Numbers of the figures that are drawn from scores: histograms, calibration, confusion, hardest images and others."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthood.evaluation.metrics.classification import Ece, IDAccuracy
from synthood.evaluation.ranking import Ranking
from synthood.reporting.figures.base import Model
from synthood.reporting.figures.calibration import Calibration
from synthood.reporting.figures.confusion import MOST_CLASSES, Confusion, most_confused
from synthood.reporting.figures.hardest import ACCEPTED, REJECTED, SIDE, Hardest, data_uri
from synthood.reporting.figures.histograms import BINS, Histograms, edges_of, shown, threshold
from synthood.reporting.figures.ood_predictions import OodPredictions
from synthood.reporting.figures.run_time import RunTime
from synthood.reporting.figures.training import MOST_POINTS, Training
from toy_figures import CLASSES, SETTINGS, frame, history, image_files, table


def rate(detector: str, part: str, model: Model) -> float:
    """FPR95, ID positive, in percent."""
    ranking = Ranking(model.column(detector, ["test"]), model.column(detector, [part]))
    return 100 * float(ranking.metrics()["fpr95_id_positive"][0])


def test_rows_of_sets() -> None:
    model = Model(frame(0).sample(frac=1, random_state=1))
    for part in ("test", "away"):
        own = model.scores[model.scores["part"] == part]
        assert model.column("knn", [part]).tolist() == own["knn"].tolist()
    assert model.samples(["away", "test"])["part"].tolist() == ["away"] * 30 + ["test"] * 60


@pytest.mark.parametrize("size", [1, 19, 20, 21, 60, 100])
def test_the_threshold_accepts_95_percent_and_is_that_of_fpr95(size: int) -> None:
    random = np.random.default_rng(size)
    ids, oods = random.integers(0, 9, size).astype(float), random.integers(0, 9, 50).astype(float)
    least = threshold(ids)
    assert (ids >= least).mean() >= 0.95 > (ids > least).mean()
    expected = float(Ranking(ids, oods).metrics()["fpr95_id_positive"][0])
    assert (oods >= least).mean() == pytest.approx(expected)


def test_histograms_hold_all_that_is_not_said_to_be_beyond() -> None:
    data = Histograms().data(table())
    assert len(data.rows) == 2 * 2 * 4  # detectors, recipes, sets
    for row in data.rows.to_dict("records"):
        assert row["share"].sum() + row["below"] + row["above"] == pytest.approx(100)
        assert len(row["share"]) == BINS
        assert row["odds"] == (row["detector"] == "msp")
    model = table().of("pets", "plain")[0]
    row = data.rows.query("detector == 'msp' and recipe == 'plain' and set == 'test'").iloc[0]
    p = model.column("msp", ["test"]).astype(float)
    assert row["threshold"] == pytest.approx(np.log10(threshold(p) / (1 - threshold(p))))


def test_distant_images_do_not_press_the_others_into_one_bin() -> None:
    ids = np.linspace(0, 1, 201)
    edges = edges_of(ids, np.concatenate([ids, [-1000.0] * 10]))
    assert edges[-1] == 1
    assert edges[0] == pytest.approx(-3, abs=0.05)
    of = table()
    for model in of.models.values():
        model.scores.loc[model.scores["part"] == "far2", "knn"] = -1e4
    data = Histograms().data(of)
    rows = data.rows.query("detector == 'knn'")
    assert set(rows.loc[rows["set"] == "far2", "below"]) == {100}
    assert "is up to 100.0 % of a set." in data.notes[-1]


def test_log_odds_tell_apart_what_is_near_one() -> None:
    assert shown(np.array([0.5, 0.9, 0.99, 1.0]), True) == pytest.approx([0, 0.954, 1.996, 7], abs=1e-3)
    assert shown(np.array([3.0]), False).tolist() == [3.0]
    assert edges_of(np.full(5, 2.0), np.full(9, 2.0))[[0, -1]].tolist() == [2, 3]  # all the same


def test_calibration_adds_up_to_the_metric() -> None:
    of = table()
    row = Calibration().data(of).rows.set_index("recipe").loc["sio"]
    frames = [model.samples(["test"]) for model in of.of("pets", "sio")]
    once = np.ones((1, 60), np.int32)
    assert row["ece"] == pytest.approx(100 * np.mean([Ece().of(one, once)[0] for one in frames]))
    together = pd.concat(frames)
    accuracy = 100 * IDAccuracy().of(together, np.ones((1, 120), np.int32))[0]
    assert (row["accuracy"] * row["share"]).sum() / 100 == pytest.approx(accuracy)
    assert (row["probability"] * row["share"]).sum() / 100 == pytest.approx(100 * together["probability"].mean(), 1e-5)
    gap = np.abs(row["accuracy"] - row["probability"]) @ row["share"] / 100
    assert gap == pytest.approx(100 * Ece().of(together, np.ones((1, 120), np.int32))[0])


def test_confusion_has_percentages_of_each_class(tmp_path: Path) -> None:
    of = table(images=image_files(tmp_path))
    row = Confusion().data(of).rows.set_index("recipe").loc["plain"]
    assert row["classes"] == CLASSES
    assert row["shares"].sum(1) == pytest.approx([100, 100, 100])
    samples = pd.concat([model.samples(["test"]) for model in of.of("pets", "plain")])
    cats = samples[samples["label"] == 0]
    assert row["shares"][0, 2] == pytest.approx(100 * (cats["prediction"] == 2).mean())
    assert Confusion().data(table()).rows["classes"].iloc[0] == ["0", "1", "2"]  # no images at hand


def test_of_many_classes_the_most_confused_are_shown() -> None:
    matrix = np.full((40, 40), 0.0)
    np.fill_diagonal(matrix, 100)
    matrix[3, [3, 7]] = 40, 60
    chosen, notes = most_confused(matrix, "cars")
    assert {3, 7} <= set(chosen)
    assert len(chosen) == MOST_CLASSES
    assert notes == ["Shown are the 25 most confused of the 40 classes of cars."]


def test_accepted_ood_adds_up_to_fpr95() -> None:
    of = table()
    rows = OodPredictions().data(of).rows
    for row in rows.to_dict("records"):
        models = of.of("pets", row["recipe"])
        expected = np.mean([rate(row["detector"], row["set"], model) for model in models])
        assert row["shares"].sum() == pytest.approx(expected)


def test_the_hardest_images_are_those_that_the_scores_say(tmp_path: Path) -> None:
    one = {"seeds": [0], "recipes": ["plain"], "detectors": ["knn"], "baselines": []}
    settings = SETTINGS.model_copy(update=one)
    of = table(settings, images=image_files(tmp_path))
    model = of.of("pets", "plain")[0]
    data = Hardest().data(of)
    best = model.samples(["close", "away", "far2"]).sort_values("knn", ascending=False)
    worst = model.samples(["test"]).sort_values("knn")
    least = threshold(model.column("knn", ["test"]))
    for group, expected in ((ACCEPTED, best[best["knn"] >= least]), (REJECTED, worst[worst["knn"] < least])):
        own = data.rows[data.rows["group"] == group]
        assert own[["part", "index"]].to_numpy().tolist() == expected.head(12)[["part", "index"]].to_numpy().tolist()
    first = data.rows.iloc[0]
    assert first["name"] == f"{first['part']}/{first['index']}"
    assert first["name"] in data.notes[-1]
    spec = Hardest().spec(data)
    url = next(part["url"] for part in spec["transform"][1]["from"]["data"]["values"])
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        assert (image.format, image.size) == ("WEBP", (SIDE, SIDE))
        pixel = np.asarray(image.convert("RGB"))[4, 4].astype(int)  # of 8 by 8 pixels each is 8 wide
    assert np.abs(pixel - first["image"][0, 0]).max() < 60


def test_images_of_any_shape_become_small_webp() -> None:
    for shape, size in (((200, 100), (32, 64)), ((10, 20), (60, 30)), ((64, 64), (64, 64)), ((1, 300), (64, 1))):
        with Image.open(
            io.BytesIO(base64.b64decode(data_uri(np.zeros((*shape, 3), np.uint8)).partition(",")[2]))
        ) as im:
            assert im.size == size


def test_no_image_is_wrong_where_all_are_told_apart(tmp_path: Path) -> None:
    of = table(images=image_files(tmp_path))
    for model in of.models.values():
        model.scores["msp"] = np.where(model.scores["part"] == "test", np.float32(0.9), np.float32(0.1))
    assert Hardest().data(of).empty == "msp decides no image wrongly at 95 % of ID accepted."
    assert Hardest().data(table()).empty == "No image files."


def test_training_curves_are_means_of_seeds_on_a_few_epochs() -> None:
    of = table()
    long = {run: history(run[2], 250) for run in of.histories}
    row = Training().data(replace(of, histories=long)).rows.iloc[0]
    assert len(row["epoch"]) == MOST_POINTS
    assert (row["epoch"][0], row["epoch"][-1]) == (1, 250)
    losses = np.stack([long["pets", "plain", seed]["loss"].to_numpy()[row["epoch"] - 1] for seed in (0, 1)])
    assert row["mean"] == pytest.approx(losses.mean(0))
    assert row["low"] == pytest.approx(losses.min(0))


def test_a_checkpoint_has_no_training_curve_and_others_keep_their_colours() -> None:
    of = table()
    histories = {run: one[:0] if run[1] == "plain" else one for run, one in of.histories.items()}
    data = Training().data(replace(of, histories=histories))
    assert set(data.rows["recipe"]) == {"sio"}
    scale = Training().spec(data)["layer"][1]["encoding"]["color"]["scale"]
    assert scale == {"domain": ["sio"], "range": ["#db7600"]}
    assert Training().data(replace(of, histories={run: one[:0] for run, one in of.histories.items()})).empty


def test_run_times_are_medians_per_detector() -> None:
    seconds = {
        ("pets", "plain", seed): {"msp": {"fit": 1.0 + seed, "score": 0.1 * (1 + seed), "samples": 100}}
        for seed in range(3)
    }
    data = RunTime().data(table(seconds=seconds))
    assert data.rows.to_dict("records") == [{"detector": "msp", "fit": 2.0, "score": pytest.approx(2000.0)}]
    assert data.notes == ["Without a measurement: knn."]
    assert RunTime().data(table(seconds={})).empty == "No run time was recorded with these scores."

"""`synthood monitor` on scores of a small exported detector: formats, notes, refusals, exit codes, the page."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from synthood.cli import main
from synthood.common.identity import MANIFEST, sha256
from synthood.deploy.calibration import Calibration
from synthood.deploy.export import export, split_calibrated
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.predictor import Predictor, features_of
from synthood.deploy.score import ScoreOptions, score, write_parquet
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.logits import Energy
from synthood.evaluation.features import Reference
from synthood.monitor.monitor import MonitorOptions, monitor
from toy_models import CLASSES, classifier, pictures

TIMED = MonitorOptions(time="taken")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported detector."""
    folder = tmp_path_factory.mktemp("monitored") / "detector"
    exported(folder, 7)
    return folder


def exported(folder: Path, seed: int, **options: object) -> Predictor:
    model = classifier()
    features = features_of(model, pictures(120, seed).images, torch.device("cpu"))
    head = model.network.head
    reference = Reference(features, features, head.weight.detach(), head.bias.detach())
    calibrated = split_calibrated(Energy().fit(reference), features)
    if folds := options.get("folds"):
        calibrated = replace(calibrated, scores=list(calibrated.scores) * 2, folds=np.arange(120) % int(str(folds)))
    return export(folder, model, calibrated, Preprocessing(16, 16), (0.05, 0.1))


def known(place: Path) -> Calibration:
    return Calibration.read(json.loads((place / "detector.json").read_text())["calibration"])


def rows(place: Path, days: int, images: int = 30, drift: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Scores drawn from the calibration's own distribution; from day `drift` on half of them lower than all."""
    calibration, random = known(place), np.random.default_rng(seed)
    ordered = np.sort(calibration.confidences)
    parts = []
    for day in range(days):
        at = random.random(images) * (len(ordered) - 1)
        confidences = np.interp(at, np.arange(len(ordered)), ordered).astype(np.float32)
        if drift is not None and day >= drift:
            confidences[: images // 2] = ordered[0] - 1 - random.random(images // 2)
        predictions = random.choice(calibration.predictions, images)
        table = {
            "path": [f"{day:02}/{index}.png" for index in range(images)],
            "label": [CLASSES[one] for one in predictions],
            "probability": np.float32(0.5),
            "confidence": confidences,
            "p_value": calibration.p_values(confidences.astype(np.float64), predictions),
            "is_ood": False,
            "note": "",
            "error": "",
            "taken": [f"2026-06-{day + 1:02}T{index % 24:02}:00:00Z" for index in range(images)],
        }
        parts.append(pd.DataFrame(table))
    return pd.concat(parts, ignore_index=True)


def write(table: pd.DataFrame, file: Path) -> Path:
    """As `score` writes numbers: no more digits than single precision has."""
    if file.suffix == ".parquet":
        table.to_parquet(file, index=False)
    else:
        plain = table.assign(confidence=[None if x != x else float(str(x)) for x in table["confidence"]])
        if file.suffix == ".csv":
            plain.to_csv(file, index=False)
        else:
            lines = plain.astype(object).where(plain.notna(), None).to_dict("records")
            file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_a_drift_is_found_in_every_format_and_the_quiet_month_is_none(place: Path, tmp_path: Path) -> None:
    quiet, drifting = rows(place, 12), rows(place, 12, drift=6)
    found = []
    for kind in ("csv", "jsonl", "parquet"):
        code, text = monitor(place, [write(quiet, tmp_path / f"quiet.{kind}")], TIMED)
        assert (code, text) == (0, "No alarm in 12 periods.")
        half = len(drifting) // 2
        files = [
            write(drifting[half:], tmp_path / f"late.{kind}"),
            write(drifting[:half].reset_index(drop=True), tmp_path / f"early.{kind}"),
        ]
        code, text = monitor(place, files, replace(TIMED, output=tmp_path / kind))
        assert code == 3
        assert "first in 2026-06-07: rate" in text
        assert "The drift most likely began with 2026-06-07." in text
        found.append([(tmp_path / kind / name).read_text() for name in ("periods.csv", "classes.csv", "images.csv")])
    assert found[0] == found[1] == found[2]
    lines = list(csv.DictReader(found[0][0].splitlines()))
    assert [line["period"] for line in lines] == [f"2026-06-{day:02}" for day in range(1, 13)]
    assert [int(line["rejected"]) >= 15 for line in lines] == [False] * 6 + [True] * 6
    assert {float(line["promised"]) for line in lines} == {0.05}
    images = list(csv.DictReader(found[0][2].splitlines()))
    assert len(images) == 20
    assert {image["period"] >= "2026-06-07" for image in images} == {True}
    classes = pd.read_csv(tmp_path / "csv" / "classes.csv")
    assert classes.groupby("period")["images"].sum().tolist() == [30] * 12


def test_whatever_is_not_as_it_should_be_is_reported(place: Path, tmp_path: Path) -> None:
    table = rows(place, 5)
    table = table[~table["taken"].str.startswith("2026-06-03")].reset_index(drop=True)
    bad = {"confidence": np.nan, "p_value": np.nan, "label": ""}
    for at in (3, 4):
        table.loc[at, list(bad)] = list(bad.values())
    table.loc[3, "error"] = "truncated"
    table.loc[5, "taken"], table.loc[6, "taken"], table.loc[7, "taken"] = "", "soon", "2026-06-01 07:00"
    other = table.iloc[[8]].assign(**known_row(place, 0.9))
    table = pd.concat([table, table.iloc[[9]], other], ignore_index=True)
    code, text = monitor(place, [write(table, tmp_path / "a.csv")], replace(TIMED, output=tmp_path / "out"))
    assert code == 0
    file = tmp_path / "a.csv"
    assert sorted(line.removeprefix("note: ") for line in text.splitlines()[1:]) == sorted(
        [
            f"1 row without a confidence or p-value and without an error (first: {file}, row 5); "
            "counted as not readable",
            f"1 row equal to an earlier row (first: {file}, row 121); counted once",
            f"1 row of the path and time of an earlier row but with other scores (first: {file}, row 122); "
            "all are counted",
            "1 row with a time of no zone: taken as UTC",
            "1 row without a time: in no period",
            "1 row with what is no time in ISO 8601 (first: 'soon'): in no period",
            "1 of 5 days from 2026-06-01 on have no rows: 2026-06-03",
            "2 of 119 images not readable, most often: 'truncated'",
        ]
    )
    periods = pd.read_csv(tmp_path / "out" / "periods.csv")
    # 30 rows, of which 2 are in no period and 2 not readable, and one more of the same path and time
    assert periods[["images", "unreadable"]].values.tolist() == [[27, 2], [30, 0], [30, 0], [30, 0]]


def known_row(place: Path, quantile: float) -> dict[str, object]:
    """Confidence and p-value that go together."""
    calibration = known(place)
    confidence = np.float32(np.quantile(calibration.confidences, quantile))
    return {
        "confidence": confidence,
        "p_value": calibration.p_values(np.float64(confidence), [0])[0],
        "label": CLASSES[0],
    }


def test_scores_of_another_detector_are_refused(place: Path, tmp_path: Path) -> None:
    exported(tmp_path / "other", 8)
    for kind in ("csv", "jsonl", "parquet"):
        file = write(rows(tmp_path / "other", 2), tmp_path / f"a.{kind}")
        with pytest.raises(SynthoodError, match=r"row \d+: p_value .* these are the scores of another detector"):
            monitor(place, [file], TIMED)
    write_parquet(rows(place, 2), tmp_path / "b.parquet", sha256(tmp_path / "other" / MANIFEST))
    with pytest.raises(SynthoodError, match=r"b\.parquet: scores of another detector"):
        monitor(place, [tmp_path / "b.parquet"], TIMED)
    strange = rows(place, 1).assign(label="dragon")
    with pytest.raises(SynthoodError, match="label 'dragon' is none of the detector's classes"):
        monitor(place, [write(strange, tmp_path / "c.csv")], TIMED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": None}, "name the column of times by --time"),
        ({"time": "tkaen"}, "no column 'tkaen'; did you mean 'taken'"),
        ({"alpha": 1.5}, "--alpha 1.5: expected a chance"),
        ({"alert": ["rates"]}, "--alert rates: no such test; did you mean 'rate'"),
        ({"alert": []}, "--alert names one test or more"),
        ({"level": 0.2}, "level 0.2: this detector was exported for 0.05, 0.1"),
        ({"baseline": 2}, "--baseline 2: 2 periods"),
        ({"by": "batch", "start": "2026-06-01"}, "--start goes with"),
        ({"start": "2027-01-01"}, "--start 2027-01-01: all 60 rows are earlier"),
    ],
)
def test_refusals(place: Path, tmp_path: Path, options: dict[str, object], message: str) -> None:
    file = write(rows(place, 2), tmp_path / "a.csv")
    with pytest.raises(SynthoodError, match=message):
        monitor(place, [file], replace(TIMED, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "expected .csv, .jsonl or .parquet"),
        ("a.csv", "", "cannot be read as csv"),
        ("a.csv", "path,label\na,b\n", "no column 'confidence'"),
        ("a.csv", "path,label,confidence,p_value,error,taken\n", "no rows"),
        ("a.csv", "path,label,confidence,p_value,error,taken\na,b,high,0.1,,2026-06-01\n", "confidence 'high' is not"),
        ("a.jsonl", '{"path": "a"', "line 1: no JSON"),
        ("a.jsonl", "[1]\n", "line 1: expected an object"),
        ("a.parquet", "PAR1", "cannot be read as parquet"),
    ],
)
def test_files_that_are_no_scores(place: Path, tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SynthoodError, match=f"{name}.*{message}"):
        monitor(place, [tmp_path / name], TIMED)


def test_each_file_is_a_batch(place: Path, tmp_path: Path) -> None:
    table = rows(place, 3)
    files = []
    for day in range(3):
        own = table[table["path"].str.startswith(f"{day:02}")].drop(columns="taken").reset_index(drop=True)
        files.append(write(own, tmp_path / f"batch-{2 - day}.csv"))
    options = MonitorOptions(by="batch", output=tmp_path / "out")
    assert monitor(place, files, options) == (0, "No alarm in 3 periods.")
    assert pd.read_csv(tmp_path / "out" / "periods.csv")["period"].tolist() == ["batch-2", "batch-1", "batch-0"]


def test_folds_need_a_baseline(tmp_path: Path) -> None:
    folder = tmp_path / "folds"
    exported(folder, 7, folds=2)
    file = write(rows(folder, 10, drift=7), tmp_path / "a.csv")
    with pytest.raises(SynthoodError, match=r"calibrated by folds.*--baseline N"):
        monitor(folder, [file], TIMED)
    code, text = monitor(folder, [file], replace(TIMED, baseline=4, output=tmp_path / "out"))
    assert code == 3
    assert "first in 2026-06-08: rate" in text
    assert "120 images of 2026-06-01 to 2026-06-04" in (tmp_path / "out" / "monitor.html").read_text()


def test_the_page_holds_all_and_loads_nothing(place: Path, tmp_path: Path) -> None:
    table = rows(place, 8, drift=4)
    table["path"] = [f"<script>{path}</script>" if index % 2 else path for index, path in enumerate(table["path"])]
    monitor(place, [write(table, tmp_path / "a.csv")], replace(TIMED, output=tmp_path / "out"))
    text = (tmp_path / "out" / "monitor.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"src=|href=|url\(|https?:|@import", text)
    assert "prefers-color-scheme:dark" in text
    assert 'name="viewport"' in text
    assert text.count("<svg") == 3
    verdict = json.loads((tmp_path / "out" / "monitor.json").read_text())
    assert text.count('<g class="alarm">') == 3 * len(verdict["alarms"])
    assert len(re.findall('<g class="(?:calm|alarm)">', text)) == 3 * 8
    assert verdict["verdict"] in text


def test_what_score_wrote_goes_through_the_command(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    for index, image in enumerate(pictures(9, 11).images):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    (tmp_path / "9.png").write_bytes(b"")
    score(place, [str(tmp_path)], ScoreOptions(form="parquet", output=tmp_path / "day.parquet"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["monitor", str(place), str(tmp_path / "day.parquet"), "--by", "batch", "--output", str(tmp_path / "out")])
    assert caught.value.code == 0
    found = capsys.readouterr().out
    assert found.startswith("No alarm in 1 period.\nnote: 1 of 10 images not readable")
    with pytest.raises(SystemExit) as caught:
        main(["monitor", str(place), str(tmp_path / "nothing.csv"), "--by", "batch"])
    assert caught.value.code == 1

"""`synthood score` and `synthood evaluate` on a small exported detector: formats, bad files, resuming, exit codes."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import synthood
from synthood.cli import main
from synthood.common.images import pixel_sha256
from synthood.deploy.calibration import Calibration
from synthood.deploy.export import export, split_calibrated
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.measure import Judged, auroc, false_alarms, promised
from synthood.deploy.predictor import COLUMNS, features_of
from synthood.deploy.score import ScoreOptions, score
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.distances import Mds
from synthood.evaluation.features import Reference
from toy_models import CLASSES, classifier, pictures

COUNT = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported detector, known images by class and unknown ones, two of which cannot be read."""
    root = tmp_path_factory.mktemp("deployed")
    model, calibration = classifier(), pictures(150, 3)
    features = features_of(model, calibration.images, next(model.network.parameters()).device)
    head = model.network.head
    features.labels[:] = torch.from_numpy(calibration.labels)
    reference = Reference(features, features, head.weight.detach(), head.bias.detach())
    calibrated = split_calibrated(Mds().fit(reference), features)
    digests = pixel_sha256(calibration.images)
    export(root / "detector", model, calibrated, Preprocessing(16, 16), (0.05, 0.1), digests=digests)
    for name, images in (("known", pictures(COUNT, 4)), ("seen", calibration)):
        for index, (image, label) in enumerate(zip(images.images[:COUNT], images.labels, strict=False)):
            folder = root / name / CLASSES[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{index}.png")
    (root / "unknown").mkdir()
    for index, image in enumerate(np.random.default_rng(0).integers(0, 256, (COUNT, 20, 20, 3), np.uint8)):
        Image.fromarray(image).save(root / "unknown" / f"{index}.png")
    (root / "unknown" / "cut.png").write_bytes(b"\x89PNG\r\n")
    (root / "unknown" / "empty.jpg").write_bytes(b"")
    return root


@pytest.fixture
def run(place: Path) -> Callable[..., tuple[int, str]]:
    def scored(*names: str, **options: object) -> tuple[int, str]:
        stream = io.StringIO()
        code = score(place / "detector", names, ScoreOptions(**options), stream)  # type: ignore[arg-type]
        return code, stream.getvalue()

    return scored


def test_rows_are_those_of_python(place: Path, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    expected = synthood.load(place / "detector").predict(place / "unknown")
    code, text = run(str(place / "unknown"))
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["path"] for row in rows] == expected["path"].tolist()
    good = expected["error"] == ""
    assert good.sum() == COUNT
    for row, (_, other) in zip(rows, expected.iterrows(), strict=True):
        assert row["error"] == other["error"]
        if not other["error"]:
            assert np.float32(row["confidence"]) == other["confidence"]
            assert float(row["p_value"]) == other["p_value"]
            assert row["is_ood"] == str(other["is_ood"])
            assert row["note"] == "20x20 px resized"
    lines = [json.loads(line) for line in run(str(place / "unknown"), form="jsonl")[1].splitlines()]
    assert [line["error"] for line in lines] == expected["error"].tolist()
    assert {line["is_ood"] for line in lines if line["error"]} == {None}
    assert run(str(place / "unknown"), form="parquet", output=tmp_path / "a.parquet")[0] == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), expected, check_dtype=False)


def test_names_on_standard_input(
    place: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(place / "unknown" / f"{index}.png") for index in (3, 1)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*names, "", "nothing.png"])))
    rows = list(csv.DictReader(io.StringIO(run("-")[1])))
    assert [row["path"] for row in rows] == [*names, "nothing.png"]
    assert rows[2]["error"] == "not found"


def test_shards_share_the_images(place: Path, run: Callable[..., tuple[int, str]]) -> None:
    parts = [rows_of(run(str(place / "unknown"), shard=f"{index}/3")[1], "csv") for index in (1, 2, 3)]
    whole = rows_of(run(str(place / "unknown"))[1], "csv")
    # Last bits of a network's outputs depend on the batch
    together = pd.concat(parts).sort_values("path", ignore_index=True)
    pd.testing.assert_frame_equal(together, whole.sort_values("path", ignore_index=True), check_dtype=False, rtol=1e-4)
    for wrong in ("0/3", "4/3", "3", "a/b"):
        with pytest.raises(SynthoodError, match=f"--shards {wrong}: expected I/N"):
            run(str(place / "unknown"), shard=wrong)


def test_unknown_images_fail_and_are_copied(
    place: Path, run: Callable[..., tuple[int, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = tmp_path / "other" / "0.png"
    twin.parent.mkdir()
    shutil.copyfile(place / "unknown" / "1.png", twin)
    names = [str(place / "unknown"), str(twin)]
    table = synthood.load(place / "detector").predict(names)
    ood = table["is_ood"].fillna(False)
    assert ood.sum() >= 2
    for _ in range(2):  # a second run copies nothing anew
        assert run(*names, fail_on_ood=True, copy_unknown=tmp_path / "copies")[0] == 3
        copies = sorted(path.read_bytes() for path in (tmp_path / "copies").iterdir())
        assert copies == sorted(Path(path).read_bytes() for path in table.loc[ood, "path"])
    assert f"{len(table)} images: {ood.sum()} OOD, 2 not readable" in capsys.readouterr().err
    accepted = table.loc[~ood & (table["error"] == ""), "path"].tolist()
    assert run(*accepted[:2], str(place / "unknown" / "cut.png"), fail_on_ood=True)[0] == 0


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_stopped_run_goes_on(form: str, place: Path, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    odd = tmp_path / 'a "b"\n,c.png'
    shutil.copyfile(place / "unknown" / "0.png", odd)
    names = [str(odd), str(place / "unknown")]
    run(*names, form=form, output=tmp_path / "whole")
    whole, hidden = (tmp_path / "whole").read_bytes(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", lambda self, target: hidden.append(self))
        run(*names, form=form, output=tmp_path / "stopped")
    for length in range(0, len(whole), max(1, len(whole) // 7)):
        hidden[0].write_bytes(whole[:length])  # most of the time in the middle of a row
        assert run(*names, form=form, output=tmp_path / "stopped", resume=True)[0] == 0
        found, expected = (rows_of((tmp_path / name).read_text(), form) for name in ("stopped", "whole"))
        # Last bits of a network's outputs depend on the batch
        pd.testing.assert_frame_equal(found, expected, rtol=1e-4)
        (tmp_path / "stopped").unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([odd.name, "whole"])


def rows_of(text: str, form: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text)) if form == "csv" else pd.read_json(io.StringIO(text), lines=True)


def test_what_is_asked_in_vain_is_refused_at_once(
    place: Path, run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("mine")
    for options, message in (
        ({"form": "parquet"}, "--format parquet needs --output"),
        ({"resume": True}, "--resume needs --output"),
        ({"output": tmp_path / "there"}, "exists already"),
        ({"output": tmp_path / "new", "form": "parquet", "resume": True}, "--resume goes with --format csv or jsonl"),
        ({"level": 0.5}, r"level 0\.5: this detector was exported for 0\.05, 0\.1"),
    ):
        with pytest.raises(SynthoodError, match=message):
            run(str(place / "unknown"), **options)
    with pytest.raises(SynthoodError, match="no images below it"):
        run(str(tmp_path / "."))
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_command_lines(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["score", str(place / "detector"), str(place / "unknown"), "--fail-on-ood", "--format", "jsonl"])
    assert end.value.code == 3
    assert len(capsys.readouterr().out.splitlines()) == COUNT + 2
    known, unknown, detector = (str(place / name) for name in ("known", "unknown", "detector"))
    main(["evaluate", detector, "--id", known, "--ood", unknown, "--json", str(tmp_path / "a.json")])
    text, figures = capsys.readouterr().out, json.loads((tmp_path / "a.json").read_text())
    table = synthood.load(place / "detector").predict(place / "known")
    right = [Path(row.path).parent.name == row.label for row in table.itertuples()]
    assert figures["accuracy"] == np.mean(right)
    assert figures["false_alarms"][0]["rejected"] == (table["p_value"] <= 0.05).sum()
    assert f"accuracy {100 * np.mean(right):.3g} %" in text
    assert "| unknown | 12 | " in text
    assert "2 images are not readable and count nowhere" in text
    for arguments, message in (
        ([str(place / "seen")], "12 of 12 images are calibration images"),
        ([str(tmp_path)], "no images below it"),
    ):
        with pytest.raises(SystemExit):
            main(["evaluate", detector, "--id", *arguments])
        assert message in capsys.readouterr().err
    main(["evaluate", detector, "--id", unknown])
    assert "Accuracy is unknown" in capsys.readouterr().out


def test_areas_against_pairs_and_their_interval_against_simulation() -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 6, 40), random.integers(-2, 4, 30)
    pairs = (x[:, None] > y).mean() + (x[:, None] == y).mean() / 2
    assert auroc(x, y)[0] == pytest.approx(pairs, abs=1e-12)
    true, covered = 0.8413447, []  # Phi(1), of normal scores sqrt(2) apart
    for _ in range(400):
        _, (low, high) = auroc(random.normal(2**0.5, 1, 60), random.normal(0, 1, 60))
        covered.append(low <= true <= high)
    assert 0.92 <= np.mean(covered) <= 0.98
    assert auroc([2.0, 3.0], [0.0, 1.0]) == (1.0, (pytest.approx(0.025**0.5), 1.0))
    assert auroc([0.0], [1.0, 2.0])[0] == 0.0


def test_false_alarms_of_groups_follow_their_joint_law() -> None:
    """Simulated calibrations and test sets of two classes; the interval is exact for groups, which it fixes."""
    random, inside = np.random.default_rng(0), []
    predictions = np.repeat([0, 1], [150, 250])
    test = np.repeat([0, 1], [30, 70])
    for _ in range(300):
        known = Calibration.of(random.random(400), predictions, 2, [0.1], grouping=predictions)
        judged = Judged(test, np.zeros((1, 100), np.float32), known.p_values(random.random(100), test))
        (alarms,) = false_alarms(known, judged)
        inside.append(alarms.promised[0] <= alarms.rate <= alarms.promised[1])
    assert known.groups.tolist() == [1, 2]
    assert np.mean(inside) >= 0.94
    folded = Calibration.of(random.random(50), np.zeros(50, int), 2, [0.1], np.arange(50) % 5)
    assert promised(folded, 0.1, test) == (0.0, pytest.approx(0.2 + min(1.6 / 11, 0.9 / 6)))

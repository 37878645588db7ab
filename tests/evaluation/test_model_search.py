"""The choice of hyperparameters of detectors of the model: by validation images alone, as few passes as may be."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from command_lines import writing
from synthood.common.images import ImageSet, write_images
from synthood.common.names import Names
from synthood.errors import SynthoodError
from synthood.evaluation import model_search, score_ensemble, score_model
from synthood.evaluation.detectors.ensemble import Ensemble, left_out
from synthood.evaluation.detectors.of_model.adascale import AdaScale, AdaScaleMethod
from synthood.evaluation.detectors.of_model.gram import Gram
from synthood.evaluation.detectors.of_model.mds_ensemble import MdsEnsemble
from synthood.evaluation.detectors.of_model.odin import Odin
from synthood.evaluation.feature_files import FeatureFolder, write_head, write_part
from synthood.evaluation.features import Features
from synthood.evaluation.model_search import ImageValidation, batches_of, fitted
from synthood.evaluation.selection import COLUMNS
from synthood.evaluation.settings import FACTS, ScoreSettings
from toy_models import CLASSES, classifier, pictures, probe_of

MODEL = classifier()
PROBE = probe_of(MODEL)
VALIDATION = ImageValidation(pictures(40, 1), pictures(30, 2), pictures(24, 3, contrast=2.5))
GRID = Odin.parse('{"kind":"odin","temperature":[1.0,1000.0],"noise":[0.0,0.01]}')


def scored(detector, images) -> np.ndarray:
    return torch.cat([detector(look) for look, _ in batches_of(PROBE, MODEL, images)]).numpy()


def test_the_best_on_validation_is_chosen_and_all_are_logged() -> None:
    found, table = fitted(PROBE, MODEL, {"it": GRID}, VALIDATION)
    assert list(table) == list(COLUMNS)
    areas = []
    for one in GRID.candidates():
        alone = fitted(PROBE, MODEL, {"it": one}, VALIDATION)[0]["it"]
        both = np.concatenate([scored(alone, VALIDATION.val), scored(alone, VALIDATION.ood)])
        areas.append(roc_auc_score([1] * 30 + [0] * 24, both))
    assert table["auroc"].tolist() == pytest.approx(areas, abs=1e-9)
    assert table["chosen"].tolist() == [i == int(np.argmax(areas)) for i in range(4)]
    assert found["it"].values == GRID.candidates()[int(np.argmax(areas))].hyperparameters
    assert [json.loads(text) for text in table["candidate"]] == [one.hyperparameters for one in GRID.candidates()]


def test_percentiles_that_cannot_be_are_left_out_and_share_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = AdaScale.parse('{"kind":"adascale","low":[60.0,80.0,90.0],"high":[65.0,85.0]}')
    count = []
    real = AdaScaleMethod.statistic
    monkeypatch.setattr(AdaScaleMethod, "statistic", lambda *a: count.append(1) or real(*a))
    _, table = fitted(PROBE, MODEL, {"it": asked}, VALIDATION)
    assert len(count) == 2  # a batch of ID and one of OOD validation images
    assert table["auroc"].notna().tolist() == [True, True, False, True, False, False]
    assert table["note"][2] == "left out: adascale: low 80 is not below high 65; set them in detectors"
    with pytest.raises(SynthoodError, match="low 90 is not below high 85"):
        fitted(PROBE, MODEL, {"it": AdaScale(low=90.0, high=85.0)}, VALIDATION)


def test_batches_of_any_size_fit_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"gram": Gram(), "mds": MdsEnsemble(noise=0.0)}
    whole = fitted(PROBE, MODEL, asked, VALIDATION)[0]
    monkeypatch.setattr(model_search, "SMALL_BATCH", 7)
    parts = fitted(PROBE, MODEL, asked, VALIDATION)[0]
    for name in asked:
        np.testing.assert_allclose(
            scored(parts[name], pictures(20, 9)), scored(whole[name], pictures(20, 9)), rtol=1e-2, atol=1e-2
        )


@pytest.mark.parametrize(("detector", "what"), [(GRID, "a grid"), (MdsEnsemble(), "it")])
def test_ood_validation_is_asked_for_before_any_pass(detector, what: str) -> None:
    sets = ImageValidation(VALIDATION.train, VALIDATION.val)
    with pytest.raises(SynthoodError, match=rf"detectors\.mine: {what} needs the dataset's ood_validation"):
        fitted(PROBE, MODEL, {"mine": detector}, sets)


PATHS = [f"a, {number}/<ü>.png" for number in range(6)]
"""Files of the images of `away`; those of the other parts come from none."""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Every part of a data set, and the model."""
    sets = {"train": VALIDATION.train, "val": VALIDATION.val, "test": pictures(12, 7)}
    ood = {"ood_validation": VALIDATION.ood, "close": pictures(9, 8, 2.0), "away": pictures(6, 9, 3.0)}
    found = {name: tmp_path / f"{name}.safetensors" for name in (*sets, *ood)}
    for name, one in sets.items():
        write_images(found[name], ImageSet(one.images, one.labels, CLASSES))
    for name, one in ood.items():
        made = ImageSet.out_of_distribution(one.images)
        made.names = Names.of(PATHS) if name == "away" else None
        write_images(found[name], made)
    MODEL.save(tmp_path / "model.safetensors")
    return found


def test_the_choice_needs_no_test_set(files: dict[str, Path]) -> None:
    """None of their files is opened for it; they need not exist."""
    for name in ("test", "close", "away"):
        files[name].unlink()
    _, table = fitted(PROBE, MODEL, {"it": GRID, "gram": Gram()}, score_model.validation(files))
    expected = fitted(PROBE, MODEL, {"it": GRID}, VALIDATION)[1]
    pd.testing.assert_frame_equal(table, expected)


def test_the_stage_writes_scores_metrics_and_the_log(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    asked = {"it": GRID, "gram": Gram()}
    settings = ScoreSettings(detectors=asked, near=["close"], far=["away"])
    outputs = [str(tmp_path / "out" / name) for name in ("scores.parquet", "metrics.csv", "search.csv")]
    given = ["--model", str(tmp_path / "model.safetensors"), "--images", *map(str, files.values())]
    score_model.main(["--settings", settings.canonical(), *given, *writing(score_model.main, outputs)])
    scores = pd.read_parquet(outputs[0])
    assert list(scores) == [*FACTS, "gram", "it"]
    assert scores["part"].value_counts().to_dict() == {"test": 12, "close": 9, "away": 6}
    assert scores["path"].tolist() == [""] * 21 + PATHS
    found = fitted(PROBE, MODEL, asked, VALIDATION)[0]
    test = scores[scores["part"] == "test"]
    np.testing.assert_allclose(test["it"], scored(found["it"], pictures(12, 7)), rtol=1e-5)
    assert test["label"].tolist() == pictures(12, 7).labels.tolist()
    assert len(pd.read_csv(outputs[2])) == 4
    assert set(pd.read_csv(outputs[1])["detector"].dropna()) == {"it", "gram"}


def test_an_ensemble_is_the_mean_softmax_of_its_members(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    folders, logits = [], []
    for member in range(3):
        folder = tmp_path / str(member)
        folder.mkdir()
        own = {part: 3 * torch.randn((8, 3), generator=random) for part in ("test", "close", "away")}
        for part, each in own.items():
            write_part(folder, part, Features(each, torch.ones(8, 2), torch.arange(8) % 3))
        write_head(folder, torch.ones(3, 2), torch.ones(3))
        folders.append(FeatureFolder(folder))
        logits.append(own)
    settings = ScoreSettings(detectors={"mean": Ensemble()}, near=["close"], far=["away"])
    scores = score_ensemble.confidences(folders, settings)
    for part in ("test", "close", "away"):
        mean = torch.stack([own[part].softmax(1) for own in logits]).mean(0)
        rows = scores[scores["part"] == part]
        assert rows["mean"].to_numpy() == pytest.approx(mean.amax(1).logit().numpy(), abs=1e-5)
        assert rows["prediction"].tolist() == mean.argmax(1).tolist()
        assert rows["probability"].to_numpy() == pytest.approx(mean.amax(1).numpy(), abs=1e-6)
        for index in range(3):
            others = torch.stack([own[part].softmax(1) for i, own in enumerate(logits) if i != index]).mean(0)
            assert rows[left_out("mean", index)].to_numpy() == pytest.approx(others.amax(1).logit().numpy(), abs=1e-5)
    write_part(tmp_path / "2", "close", Features(torch.zeros(7, 3), torch.ones(7, 2), torch.zeros(7).long()))
    with pytest.raises(SynthoodError, match="2: close is not of the samples and classes of the other models"):
        score_ensemble.confidences(folders, settings)


def test_progress_is_told_of_images_with_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(list(batches_of(PROBE, MODEL, VALIDATION.train, "training images"))) == 1
    assert "training images: step 1/1, " in capsys.readouterr().out
    list(batches_of(PROBE, MODEL, VALIDATION.train))
    assert capsys.readouterr().out == ""

"""The choice of hyperparameters: by validation data alone, every candidate logged, impossible ones left out."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from command_lines import writing
from synthood.errors import SynthoodError
from synthood.evaluation import score
from synthood.evaluation.detectors.heads import Nci
from synthood.evaluation.detectors.logits import Gen, Msp
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.subspaces import Vim
from synthood.evaluation.feature_files import FeatureFolder, write_head, write_part
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.search import Validation, fitted
from synthood.evaluation.selection import COLUMNS
from synthood.evaluation.settings import ScoreSettings
from toy_features import joined, part, toy_reference

GRID = '{"kind":"knn","k":[1,5,50,300]}'


@pytest.fixture(scope="module")
def validation() -> Validation:
    reference = toy_reference()
    return Validation(reference, part(120, 9, reference.weight, reference.bias, far=1.0), "here")


def candidates(table: pd.DataFrame) -> list[dict[str, float]]:
    return [json.loads(text) for text in table["candidate"]]


def test_the_best_on_validation_is_chosen_and_all_are_logged(validation: Validation) -> None:
    scores, table = fitted({"near": Knn.parse(GRID)}, validation)
    assert list(table) == list(COLUMNS)
    assert candidates(table) == [{"k": k} for k in (1, 5, 50, 300)]
    truth = [1] * len(validation.reference.val) + [0] * len(validation.ood)
    both = joined(validation.reference.val, validation.ood)
    areas = {}
    for k in (1, 5, 50, 300):
        areas[k] = roc_auc_score(truth, Knn(k=k).fit(validation.reference)(both))
    assert table["auroc"].tolist() == pytest.approx(list(areas.values()), abs=1e-9)
    best = max(areas, key=areas.get)
    assert table["chosen"].tolist() == [k == best for k in areas]
    expected = Knn(k=best).fit(validation.reference)(both)
    assert torch.equal(scores["near"](both), expected)


def test_the_first_of_equals_is_chosen(validation: Validation) -> None:
    """A value that is given twice is tried once; two that give the same order are equal."""
    _, table = fitted({"gen": Gen.parse('{"kind":"gen","gamma":[0.5,0.5,0.5]}')}, validation)
    assert len(table) == 1
    _, table = fitted({"nci": Nci.parse('{"kind":"nci","alpha":[0.0,1e-12]}')}, validation)
    assert table["auroc"].nunique() == 1
    assert table["chosen"].tolist() == [True, False]


def test_several_grids_are_combined(validation: Validation) -> None:
    _, table = fitted({"gen": Gen.parse('{"kind":"gen","gamma":[0.1,1.0],"top":[2,null]}')}, validation)
    assert candidates(table) == [{"gamma": g, "top": t} for g in (0.1, 1.0) for t in (2, None)]


def test_values_that_the_data_cannot_have_are_left_out_with_a_note(validation: Validation) -> None:
    _, table = fitted({"vim": Vim.parse('{"kind":"vim","dimension":[6,12,1000]}')}, validation)
    assert table["chosen"].tolist() == [True, False, False]
    assert table["auroc"].isna().tolist() == [False, True, True]
    assert table["note"].tolist() == [
        "",
        *(f"left out: vim: dimension {d} must be below the features' 12; set it in detectors" for d in (12, 1000)),
    ]


def test_a_single_value_that_the_data_cannot_have_is_an_error(validation: Validation) -> None:
    with pytest.raises(SynthoodError, match="vim: dimension 256 must be below the features' 12"):
        fitted({"vim": Vim()}, validation)


def test_a_grid_without_a_possible_value_is_an_error(validation: Validation) -> None:
    with pytest.raises(
        SynthoodError, match=r"detectors\.vim: no value of the grid fits these data; the last: vim: dimens"
    ):
        fitted({"vim": Vim.parse('{"kind":"vim","dimension":[12,13]}')}, validation)


def test_without_grids_the_log_is_a_header(validation: Validation) -> None:
    scores, table = fitted({"msp": Msp()}, Validation(validation.reference))
    assert (list(scores), list(table), len(table)) == (["msp"], list(COLUMNS), 0)


def test_a_grid_needs_ood_validation(validation: Validation) -> None:
    with pytest.raises(SynthoodError, match=r"detectors\.near: a grid needs the dataset's ood_validation"):
        fitted({"near": Knn.parse(GRID)}, Validation(validation.reference))


def test_a_head_of_another_model_is_an_error_where_a_head_is_used(validation: Validation) -> None:
    reference = validation.reference
    other = Validation(
        Reference(reference.train, reference.val, reference.weight.flip(0), reference.bias), None, "here"
    )
    with pytest.raises(SynthoodError, match="here: the head's weights do not give the logits"):
        fitted({"vim": Vim(dimension=6)}, other)
    assert list(fitted({"near": Knn()}, other)[0]) == ["near"]


class Recording(FeatureFolder):
    """Notes which parts are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read: list[str] = []

    def part(self, part: str) -> Features:
        self.read.append(part)
        return super().part(part)


SETTINGS = ScoreSettings(
    detectors={"searched": Knn.parse(GRID), "gen": Gen.parse('{"kind":"gen","gamma":[0.1,1.0]}')},
    near=["close"],
    far=["away"],
)


def written(folder: Path, tests: float) -> Path:
    reference = toy_reference()
    weight, bias = reference.weight, reference.bias
    for name, x in (("train", reference.train), ("val", reference.val)):
        write_part(folder, name, x)
    write_part(folder, "ood_validation", part(120, 9, weight, bias, far=1.0))
    for seed, name in enumerate(("test", "close", "away")):
        write_part(folder, name, part(30, 20 + seed, weight, bias, far=tests))
    write_head(folder, weight, bias)
    return folder


def test_only_validation_parts_are_read_for_the_choice(tmp_path: Path) -> None:
    """The choice needs no test set to exist, and none of its files is opened for it."""
    folder = Recording(written(tmp_path, 0.3))
    for name in ("test", "close", "away"):
        (tmp_path / f"{name}.safetensors").unlink()
    _, table = score.fitted_on(folder, SETTINGS)
    assert sorted(folder.read) == ["ood_validation", "train", "val"]
    assert table["chosen"].sum() == 2


def test_the_log_does_not_depend_on_the_test_sets(tmp_path: Path) -> None:
    tables = []
    for name, tests in (("a", 0.0), ("b", 1.5)):
        (tmp_path / name).mkdir()
        tables.append(score.fitted_on(FeatureFolder(written(tmp_path / name, tests)), SETTINGS)[1])
    pd.testing.assert_frame_equal(*tables)


def test_the_stage_writes_scores_metrics_and_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    folder = tmp_path / "features"
    folder.mkdir()
    written(folder, 0.3)
    grid = SETTINGS.detectors | {"vim": Vim.parse('{"kind":"vim","dimension":[6,1000]}')}
    settings = SETTINGS.model_copy(update={"detectors": grid})
    outputs = [tmp_path / name for name in ("scores.parquet", "metrics.csv", "search.csv")]
    score.main(["--settings", settings.canonical(), "--features", str(folder), *writing(score.main, outputs)])
    assert 'vim {"dimension": 1000}: left out: vim: dimension 1000' in capsys.readouterr().out
    log = pd.read_csv(outputs[2])
    expected = score.fitted_on(FeatureFolder(folder), ScoreSettings.parse(settings.canonical()))[1]
    assert log["detector"].tolist() == expected["detector"].tolist() == ["gen"] * 2 + ["searched"] * 4 + ["vim"] * 2
    assert log["auroc"].to_numpy() == pytest.approx(100 * expected["auroc"].to_numpy(float), abs=5e-5, nan_ok=True)
    assert set(pd.read_csv(outputs[1])["detector"].dropna()) == {"searched", "gen", "vim"}
    assert len(pd.read_parquet(outputs[0])) == 90

"""Scores of runs from several jobs, put together by sample."""

from pathlib import Path

import pandas as pd
import pytest

from synthood.errors import SynthoodError
from synthood.reporting.runs import read_runs

RUNS = [("digits", "ce", 0), ("digits", "ce", 1)]


def written(file: Path, name: str, values: list[float], parts: list[str]) -> Path:
    frame = pd.DataFrame({"part": parts, "index": range(len(parts)), "prediction": 0, name: values})
    frame.to_parquet(file, index=False)
    return file


def test_every_run_has_the_columns_of_its_own_files(tmp_path: Path) -> None:
    parts = ["test", "close"]
    scores = [written(tmp_path / f"s{i}", "msp", [i, i], parts) for i in (0, 1)]
    maps = [written(tmp_path / f"m{i}", "gram", [10 + i, 10 + i], parts) for i in (0, 1)]
    both = written(tmp_path / "e", "mean", [7, 7], parts)
    found = read_runs(RUNS, scores, [*maps, both, both], {"ce": ["mean", "msp", "gram"]})
    assert list(found) == RUNS
    for i, run in enumerate(RUNS):
        assert list(found[run]) == ["part", "index", "prediction", "msp", "gram", "mean"]
        assert found[run].iloc[0].tolist() == ["test", 0, 0, i, 10 + i, 7]


def test_scores_of_other_samples_are_told(tmp_path: Path) -> None:
    scores = [written(tmp_path / "s", "msp", [1, 2], ["test", "close"])]
    other = written(tmp_path / "m", "gram", [1, 2], ["test", "away"])
    with pytest.raises(SynthoodError, match="m: not of the same samples as the scores beside it"):
        read_runs(RUNS[:1], scores, [other], {"ce": ["msp"]})


def test_scores_that_lack_a_detector_of_the_table_are_told(tmp_path: Path) -> None:
    scores = [written(tmp_path / f"s{i}", name, [1, 2], ["test", "close"]) for i, name in enumerate(("msp", "knn"))]
    with pytest.raises(SynthoodError, match="s1: no scores by msp; other settings made this file, delete it"):
        read_runs(RUNS, scores, [], {"ce": ["msp"]})


def test_scores_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    scores = [written(tmp_path / f"s{i}", "msp", [1, float("nan"), 0], ["test", "close", "far"]) for i in (0, 1)]
    with pytest.raises(SynthoodError, match="s0: msp has 1 scores that are no numbers, the first on close"):
        read_runs(RUNS, scores, [], {"ce": ["msp"]})
    assert list(read_runs(RUNS, scores, [], {"ce": []})) == RUNS


@pytest.mark.parametrize(("scores", "beside"), [(1, 0), (3, 0), (2, 1)])
def test_files_for_other_models_than_the_tables_are_told(tmp_path: Path, scores: int, beside: int) -> None:
    file = written(tmp_path / "s", "msp", [1], ["test"])
    with pytest.raises(SynthoodError, match=f"{scores} files, and {beside} beside them, for 2 models"):
        read_runs(RUNS, [file] * scores, [file] * beside, {"ce": ["msp"]})

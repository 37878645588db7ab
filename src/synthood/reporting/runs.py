"""Scores of a table's runs, put together from the jobs that made them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from synthood.common.artefact import verify
from synthood.errors import SynthoodError
from synthood.evaluation.settings import FACTS

Run = tuple[str, str, int]
"""Dataset, recipe, seed."""


def read_runs(
    runs: Sequence[Run], scores: Sequence[Path], beside: Sequence[Path], detectors: Sequence[str]
) -> dict[Run, pd.DataFrame]:
    """The scores of every run, one file each in their order, with the columns of files beside them.

    `beside` are files of every run in their order, once or several times over. Raises SynthoodError where one of
    `detectors` has no scores.
    """
    found = {}
    for index, (run, path) in enumerate(zip(runs, scores, strict=True)):
        frame = read_scores(path)
        for other in beside[index :: len(runs)]:
            frame = with_columns(frame, read_scores(other), other)
        if missing := [name for name in detectors if name not in frame]:
            raise SynthoodError(
                f"{path}: no scores by {', '.join(missing)}; other settings made this file, delete it and run again"
            )
        found[run] = frame
    return found


def read_scores(path: Path) -> pd.DataFrame:
    """Scores of one model; an error names a file that is not one."""
    verify(path, ours=True)
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise SynthoodError(f"{path}: not a readable table of scores ({error}); delete it and run again") from error


def with_columns(frame: pd.DataFrame, other: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The frame with the detectors that only the other has; raises where their samples are not the same."""
    samples = ["part", "index"]
    if not frame[samples].equals(other[samples]):
        raise SynthoodError(f"{path}: not of the same samples as the scores beside it; delete both and run again")
    return frame.join(other[[name for name in other if name not in frame and name not in FACTS]])

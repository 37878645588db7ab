"""Scores of a table's runs, put together from the jobs that made them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from synthood.common.artefact import verify
from synthood.errors import SynthoodError
from synthood.evaluation.settings import FACTS

Run = tuple[str, str, int]
"""Dataset, recipe, seed."""


def read_runs(
    runs: Sequence[Run],
    scores: Sequence[Path],
    beside: Sequence[Path],
    detectors: Mapping[str, Sequence[str]],
) -> dict[Run, pd.DataFrame]:
    """The scores of every run, one file each in their order, with the columns of files beside them.

    `beside` are files of every run in their order, once or several times over. Raises SynthoodError where one of
    a recipe's `detectors` has no scores, or one that is not a number.
    """
    if len(scores) != len(runs) or len(beside) % len(runs):
        raise SynthoodError(
            f"--scores: {len(scores)} files, and {len(beside)} beside them, for {len(runs)} models "
            f"of datasets, recipes and seeds; name one file for each model"
        )
    found = {}
    for index, (run, path) in enumerate(zip(runs, scores, strict=True)):
        frame = read_scores(path)
        for other in beside[index :: len(runs)]:
            frame = with_columns(frame, read_scores(other), other)
        names = detectors[run[1]]
        if missing := [name for name in names if name not in frame]:
            raise SynthoodError(
                f"{path}: no scores by {', '.join(missing)}; other settings made this file, delete it and run again"
            )
        for name in names:
            if (wrong := frame[name].isna()).any():
                part = frame.loc[wrong, "part"].iloc[0]
                raise SynthoodError(f"{path}: {name} has {wrong.sum()} scores that are no numbers, the first on {part}")
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

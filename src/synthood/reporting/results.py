"""What a table holds: values and gains, each a long table in percent."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from synthood.errors import SynthoodError
from synthood.reporting.statistics import Estimate

KEYS = ["dataset", "recipe", "detector", "set", "metric"]
"""What a value is of; `detector` is empty where none has a part in the metric."""
VALUES = [*KEYS, "mean", "sd", "low", "high", "seeds"]
GAINS = [*KEYS, "base", "base_detector", "gain", "low", "high", "seeds", "p"]
"""A gain is over recipe `base` by `base_detector`; `seeds` counts the models behind a number; `p` is corrected by Holm,
and missing where nothing was tested."""
TEXTS = [*KEYS, "base", "base_detector", "published_note"]


class Results(NamedTuple):
    """Rows with the columns of `VALUES` and of `GAINS`, percent and points."""

    values: pd.DataFrame
    gains: pd.DataFrame


def percent(estimate: Estimate, mean: str = "mean") -> dict[str, float]:
    """Mean and bounds of a share, times 100, under the names of their columns."""
    return {mean: 100 * estimate.mean, "low": 100 * estimate.low, "high": 100 * estimate.high}


def csv_text(rows: pd.DataFrame) -> str:
    """As CSV: percent and points with four decimals, p-values with six."""
    shown = rows.copy()
    for name in rows.select_dtypes("float"):
        digits = 6 if name == "p" else 4
        shown[name] = ["" if math.isnan(x) else f"{round(x, digits) + 0.0:.{digits}f}" for x in rows[name]]
    return str(shown.to_csv(index=False, lineterminator="\n"))


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table of `tabulate` with names as text, NaN for what is no finite number; SynthoodError at a missing column."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if missing := [name for name in columns if name not in frame]:
        raise SynthoodError(f"{path}: no column {', '.join(missing)}; delete it and make the table again")
    for name in frame.columns.difference(TEXTS):
        frame[name] = pd.to_numeric(frame[name], errors="coerce").replace([math.inf, -math.inf], math.nan)
    return frame

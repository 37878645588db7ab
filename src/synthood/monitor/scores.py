"""Rows of `synthood score`, out of several files, with a sentence for whatever is not as it should be."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthood.deploy.calibration import Calibration
from synthood.deploy.facts import DETECTOR
from synthood.errors import SynthoodError, first_line, nearest, printable

NEEDED = ("path", "label", "confidence", "p_value", "error")
ROUNDING = 1e-9
"""Largest difference of a p-value from that of its confidence."""


@dataclass(frozen=True)
class Scores:
    """A row for each image: path, label, prediction, confidence, p_value, readable, time (as read), file; and notes."""

    rows: pd.DataFrame
    notes: list[str] = field(default_factory=list)


def read(files: Sequence[Path], time: str | None, classes: Sequence[str]) -> Scores:
    """Every row of the files in order, equal ones once.

    Raises SynthoodError for a file that cannot be read, lacks a column or holds classes unknown to the detector.
    """
    notes: list[str] = []
    tables = [one_file(file, time) for file in files]
    rows = pd.concat(tables, ignore_index=True)
    if rows.empty:
        raise SynthoodError(f"{', '.join(map(str, files))}: no rows; give what `synthood score` wrote")
    for name, kind in (("confidence", np.float32), ("p_value", np.float64)):
        given = rows[name].map(lambda value: value is not None and value == value and value != "")
        numbers = pd.to_numeric(rows[name].where(given), errors="coerce").astype(kind)
        if (wrong := given & ~np.isfinite(numbers)).any():
            raise SynthoodError(
                f"{where(rows, wrong)}: {name} {printable(rows[name][wrong].iloc[0])!r} is not a number"
            )
        rows[name] = numbers
    rows["error"] = rows["error"].map(text)
    bad = rows["error"] != ""
    without = ~bad & (rows["confidence"].isna() | rows["p_value"].isna())
    if without.any():
        notes.append(
            f"{count(without, 'row')} without a confidence or p-value and without an error "
            f"(first: {where(rows, without)}); counted as not readable"
        )
    rows["readable"] = ~bad & ~without
    rows["prediction"] = predictions(rows, classes)
    outside = rows["readable"] & ~rows["p_value"].between(0, 1, inclusive="right")
    if outside.any():
        raise SynthoodError(f"{where(rows, outside)}: p_value {rows['p_value'][outside].iloc[0]:g} is no p-value")
    rows, more = without_duplicates(rows)
    return Scores(rows, [*notes, *more])


def one_file(file: Path, time: str | None) -> pd.DataFrame:
    """Columns as objects, with `time` (None where no column is named) and `file`; paths that are not UTF-8 escaped."""
    readers = {".csv": from_csv, ".jsonl": from_lines, ".parquet": from_parquet}
    if file.suffix not in readers:
        raise SynthoodError(f"{file}: expected .csv, .jsonl or .parquet, as `synthood score` writes them")
    try:
        found = readers[file.suffix](file)
    except SynthoodError:
        raise
    except OSError as error:
        raise SynthoodError(f"{file}: {first_line(error)}") from error
    except Exception as error:  # pandas and pyarrow raise many kinds for damaged files
        raise SynthoodError(f"{file}: cannot be read as {file.suffix[1:]} ({first_line(error)})") from error
    for name in [*NEEDED, *([] if time is None else [time])]:
        if name not in found.columns:
            what = "; add a column of times, named by --time" if name == time else "; give what `synthood score` wrote"
            raise SynthoodError(f"{file}: no column {name!r}{nearest(name, map(str, found.columns))}{what}")
    columns = {name: found[name].astype(object) for name in NEEDED}
    columns["time"] = found[time].astype(object) if time is not None else pd.Series(None, found.index, dtype=object)
    return pd.DataFrame(columns | {"file": str(file), "line": np.arange(1, len(found) + 1)})


def from_csv(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8", encoding_errors="backslashreplace")


def from_lines(file: Path) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(file.read_text("utf-8", "backslashreplace").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SynthoodError(f"{file}, line {number}: no JSON ({first_line(error)}); is the file whole?") from error
        if not isinstance(row, dict):
            raise SynthoodError(f"{file}, line {number}: expected an object, as `synthood score` writes them")
        rows.append(row)
    found = pd.DataFrame(rows, dtype=object) if rows else pd.DataFrame(columns=list(NEEDED))
    return found.assign(path=found["path"].map(escaped)) if "path" in found else found


def from_parquet(file: Path) -> pd.DataFrame:
    return pd.read_parquet(file)


def escaped(value: Any) -> Any:
    """Names that are not UTF-8 with escapes."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def predictions(rows: pd.DataFrame, classes: Sequence[str]) -> "pd.Series[int]":
    """Numbers of the classes; -1 of what is not readable."""
    numbers = {name: number for number, name in enumerate(classes)}
    found = rows["label"].map(text).map(numbers).where(rows["readable"], -1)
    if (strange := found.isna()).any():
        label = text(rows["label"][strange].iloc[0])
        raise SynthoodError(
            f"{where(rows, strange)}: label {printable(label)!r} is none of the detector's classes"
            f"{nearest(label, classes)}; these are the scores of another detector"
        )
    return found.astype(np.int64)


def without_duplicates(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rows that are alike in all but their place once; those of one path and time that differ stay, with a note."""
    notes = []
    key = rows.assign(time=rows["time"].map(str), batch=rows["file"].where(rows["time"].isna(), ""))
    again = key.duplicated(["path", "time", "batch", "label", "confidence", "p_value", "error"])
    if again.any():
        notes.append(f"{count(again, 'row')} equal to an earlier row (first: {where(rows, again)}); counted once")
    rows, key = rows[~again].reset_index(drop=True), key[~again].reset_index(drop=True)
    if (other := key.duplicated(["path", "time", "batch"])).any():
        notes.append(
            f"{count(other, 'row')} of the path and time of an earlier row but with other scores "
            f"(first: {where(rows, other)}); all are counted"
        )
    return rows, notes


def check_detector(files: Sequence[Path], scores: Scores, calibration: Calibration, digest: str) -> None:
    """Raises SynthoodError for scores of another detector: by the digest in Parquet files, and by p-values.

    With one fold, p-values follow from confidences and classes, whatever the file's kind.
    """
    for file in files:
        if file.suffix == ".parquet" and (known := recorded(file)) not in (None, digest):
            raise SynthoodError(
                f"{file}: scores of another detector (manifest {known[:12]}, here {digest[:12]}); give its folder"
            )
    if calibration.fold_count > 1:
        return
    good = scores.rows[scores.rows["readable"]]
    expected = calibration.p_values(good["confidence"].to_numpy(np.float64), good["prediction"].to_numpy())
    differ = np.abs(good["p_value"].to_numpy() - expected) > ROUNDING
    if differ.any():
        first = good[differ].iloc[0]
        raise SynthoodError(
            f"{first['file']}, row {first['line']}: p_value {first['p_value']:g}, but a confidence of "
            f"{first['confidence']:g} has {expected[differ][0]:g} by this detector ({int(differ.sum())} of {len(good)} "
            f"rows differ); these are the scores of another detector, or rounded ones"
        )


def recorded(file: Path) -> str | None:
    """SHA-256 of the manifest of the detector that `score` used; None where a Parquet file does not say."""
    from pyarrow import parquet

    found = (parquet.read_metadata(file).metadata or {}).get(DETECTOR.encode())
    return None if found is None else found.decode("ascii", "replace")


def text(value: Any) -> str:
    """A text that may be missing."""
    return "" if value is None or value != value else str(value)


def count(which: "pd.Series[bool]", what: str) -> str:
    number = int(which.sum())
    return f"{number} {what}{'s' * (number != 1)}"


def where(rows: pd.DataFrame, which: "pd.Series[bool]") -> str:
    """The file and row of the first."""
    first = rows[which].iloc[0]
    return f"{first['file']}, row {first['line']}"

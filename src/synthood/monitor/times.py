"""Times of rows as local days, hours or weeks."""

from collections.abc import Sequence
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd

from synthood.errors import SynthoodError, printable

Unit = Literal["hour", "day", "week"]
STEP = {"hour": pd.Timedelta(hours=1), "day": pd.Timedelta(days=1), "week": pd.Timedelta(days=7)}
WITH_ZONE = r"\d:\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
NAMED = 5
"""Empty periods that a note names."""


def known_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise SynthoodError(
            f"--zone {printable(name)}: no such time zone; give one such as UTC or Europe/Berlin"
        ) from error


def local(column: "pd.Series[Any]", zone: str, name: str) -> "tuple[pd.Series[pd.Timestamp], list[str]]":
    """Wall-clock times in a zone, NaT where there is none, with notes.

    Times are ISO 8601 texts or timestamps; those without an offset are the zone's own. Raises SynthoodError for
    numbers, of which nobody says whether they are seconds, and where no row has a time.
    """
    place, notes = known_zone(zone), list[str]()
    numbers = column.map(lambda value: isinstance(value, int | float) and value == value)
    if numbers.any():
        raise SynthoodError(
            f"--time {name}: holds numbers such as {column[numbers].iloc[0]}; give ISO 8601 texts or timestamps"
        )
    texts = column.map(lambda value: "" if value is None or value != value else str(value).strip())
    aware = texts.str.contains(WITH_ZONE, regex=True)
    found = pd.Series(pd.NaT, column.index, dtype="datetime64[us]")
    if aware.any():
        moments = pd.to_datetime(texts[aware], format="ISO8601", errors="coerce", utc=True)
        found[aware] = moments.dt.tz_convert(place).dt.tz_localize(None).astype("datetime64[us]")
    if (naive := ~aware & (texts != "")).any():
        found[naive] = pd.to_datetime(texts[naive], format="ISO8601", errors="coerce").astype("datetime64[us]")
        if assumed := int((naive & found.notna()).sum()):
            notes.append(f"{_rows(assumed)} with a time of no zone: taken as {zone}")
    if missing := int((texts == "").sum()):
        notes.append(f"{_rows(missing)} without a time: in no period")
    if (wrong := (texts != "") & found.isna()).any():
        notes.append(
            f"{_rows(int(wrong.sum()))} with what is no time in ISO 8601 "
            f"(first: {printable(texts[wrong].iloc[0], 40)!r}): in no period"
        )
    if found.isna().all():
        raise SynthoodError(f"--time {name}: no row has a time; give ISO 8601, such as 2026-05-31T13:00+02:00")
    return found, notes


def start_of(times: "pd.Series[pd.Timestamp]", unit: Unit) -> "pd.Series[pd.Timestamp]":
    """The beginning of each time's hour, day or week, which begins on Monday."""
    if unit == "hour":
        return times.dt.floor("h")
    days = times.dt.normalize()
    return days if unit == "day" else days - pd.to_timedelta(days.dt.day_of_week, unit="D")


def named(start: pd.Timestamp, unit: Unit) -> str:
    return start.strftime({"hour": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "week": "%G-W%V"}[unit])


def empty(starts: Sequence[pd.Timestamp], unit: Unit) -> list[str]:
    """A note of the periods between the first and the last that have no rows."""
    first, last, step = starts[0], starts[-1], STEP[unit]
    total, known, gaps, at = 1 + int((last - first) / step), set(starts), list[str](), first
    if total == len(known):
        return []
    while at < last and len(gaps) < NAMED:
        if at not in known:
            gaps.append(named(at, unit))
        at += step
    missing = total - len(known)
    more = ", ..." * (missing > len(gaps))
    return [f"{missing} of {total} {unit}s from {named(first, unit)} on have no rows: {', '.join(gaps)}{more}"]


def _rows(number: int) -> str:
    return f"{number} row{'s' * (number != 1)}"

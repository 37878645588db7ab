"""Times of rows: zones, what is missing or no time, beginnings of periods, empty ones."""

import pandas as pd
import pytest

from synthood.errors import SynthoodError
from synthood.monitor import times


def column(*values: object) -> "pd.Series[object]":
    return pd.Series(values, dtype=object)


def test_offsets_are_followed_and_naive_times_are_of_the_zone() -> None:
    given = column("2026-06-01T23:30:00+00:00", "2026-06-01T22:30Z", "2026-06-01 08:00", "2026-06-01")
    found, notes = times.local(given, "Europe/Berlin", "taken")
    assert found.map(str).tolist() == [
        "2026-06-02 01:30:00",
        "2026-06-02 00:30:00",
        "2026-06-01 08:00:00",
        "2026-06-01 00:00:00",
    ]
    assert notes == ["2 rows with a time of no zone: taken as Europe/Berlin"]


def test_timestamps_of_parquet_files() -> None:
    found, notes = times.local(
        column(pd.Timestamp(2026, 6, 1, 5), pd.Timestamp("2026-06-01T05:00", tz="Asia/Tokyo"), pd.NaT), "UTC", "taken"
    )
    assert found.map(str).tolist() == ["2026-06-01 05:00:00", "2026-05-31 20:00:00", "NaT"]
    assert notes == ["1 row with a time of no zone: taken as UTC", "1 row without a time: in no period"]


def test_what_is_no_time_is_counted_with_the_first() -> None:
    found, notes = times.local(column("2026-06-01T05:00Z", "yesterday", "01.06.2026", None), "UTC", "taken")
    assert found.isna().tolist() == [False, True, True, True]
    assert "1 row without a time: in no period" in notes
    assert "2 rows with what is no time in ISO 8601 (first: 'yesterday'): in no period" in notes


@pytest.mark.parametrize(
    ("values", "zone", "message"),
    [
        ([1780272000], "UTC", "--time taken: holds numbers such as 1780272000"),
        (["", None], "UTC", "--time taken: no row has a time"),
        (["2026-06-01"], "Berlin/Europe", "--zone Berlin/Europe: no such time zone"),
        (["2026-06-01"], "../etc", "no such time zone"),
    ],
)
def test_refusals(values: list[object], zone: str, message: str) -> None:
    with pytest.raises(SynthoodError, match=message):
        times.local(column(*values), zone, "taken")


def test_periods_begin_and_are_named() -> None:
    given = pd.Series(pd.to_datetime(["2026-06-07T23:59", "2026-06-08T00:00", "2026-01-01T12:30"]))
    names = {
        unit: [times.named(start, unit) for start in times.start_of(given, unit)] for unit in ("hour", "day", "week")
    }
    assert names["hour"] == ["2026-06-07 23:00", "2026-06-08 00:00", "2026-01-01 12:00"]
    assert names["day"] == ["2026-06-07", "2026-06-08", "2026-01-01"]
    assert names["week"] == ["2026-W23", "2026-W24", "2026-W01"]


def test_empty_periods_are_named() -> None:
    days = [pd.Timestamp(2026, 6, day) for day in (1, 2, 5, 30)]
    assert times.empty(days[:2], "day") == []
    assert times.empty(days[:3], "day") == ["2 of 5 days from 2026-06-01 on have no rows: 2026-06-03, 2026-06-04"]
    (note,) = times.empty(days, "day")
    assert note.startswith("26 of 30 days from 2026-06-01 on have no rows: 2026-06-03, 2026-06-04, 2026-06-06, ")
    assert note.endswith(", ...")

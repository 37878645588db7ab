"""Slurm's time limit: when a fit asks for another turn, by programs named like Slurm's."""

import time

import pytest

from synthood.common.time_limit import MARGIN, TimeLimit, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5:00", 300),
        ("59", 59),
        ("1:00:00", 3600),
        ("2-03:04:05", 2 * 86400 + 3 * 3600 + 4 * 60 + 5),
        ("0:00\n", 0),
        ("UNLIMITED", None),
        ("infinite", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_spans_of_time_as_slurm_writes_them(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(("margin", "left"), [("120", 880), ("800", 750)])
@pytest.mark.usefixtures("asked")
def test_it_is_near_by_the_margin_or_a_quarter_of_what_is_left(
    margin: str, left: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARGIN, margin)
    limit = TimeLimit()
    now = time.monotonic()
    for seconds, near in ((left - 5, False), (left + 5, True)):
        monkeypatch.setattr(time, "monotonic", lambda at=now + seconds: at)
        assert limit.is_near() is near


@pytest.mark.parametrize("without", ["SLURM_JOB_ID", MARGIN])
@pytest.mark.usefixtures("asked")
def test_nothing_is_asked_elsewhere(without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In no job of Slurm, and in one that another program submitted, such as the user's own script."""
    monkeypatch.delenv(without)
    assert TimeLimit().asks_at is None

"""Progress on a terminal and in a log."""

import io
from types import SimpleNamespace

import pytest

from synthood.common import progress
from synthood.common.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    monkeypatch.setattr("sys.stderr", io.StringIO())
    return now


def test_a_log_gets_a_line_every_ten_seconds_and_at_the_end(clock, capsys):
    shown = Progress("net", 100, start=10)
    clock.seconds += 9.9
    shown.update(29, {"loss": 3.0})
    assert capsys.readouterr().out == ""
    clock.seconds += 0.1
    shown.update(30, {"loss": 0.123456, "epoch": 2})
    assert capsys.readouterr().out == "net: step 30/100, 2.0 steps/s, 35 s left, loss 0.1235 epoch 2\n"
    clock.seconds += 9.9
    shown.update(50, {})
    assert capsys.readouterr().out == ""
    clock.seconds += 0.1
    shown.update(100, {"loss": 1e-5})
    assert capsys.readouterr().out == "net: step 100/100, 4.5 steps/s, 0 s left, loss 1e-05\n"
    shown.close()


def test_the_last_step_is_shown_however_soon(clock, capsys):
    shown = Progress("net", 2)
    shown.update(1, {"a": 1.0})
    clock.seconds += 0.5
    shown.update(2, {"a": 2.0})
    assert capsys.readouterr().out == "net: step 2/2, 4.0 steps/s, 0 s left, a 2\n"


def test_no_time_at_all_is_no_division_by_zero(clock, capsys):
    Progress("net", 1, start=0).update(1, {})
    assert capsys.readouterr().out.startswith("net: step 1/1, ")


def test_a_terminal_gets_a_bar_that_starts_where_the_fit_does(monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    shown = Progress("net", 8, start=3)
    shown.update(5, {"loss": 0.5})
    shown.update(8, {"loss": 0.25})
    assert (shown.bar.n, shown.bar.total, shown.bar.initial) == (8, 8, 3)
    shown.close()
    text = terminal.getvalue()
    assert text.startswith("\rnet:")
    assert "3/8" in text
    assert "loss 0.25" in text
    assert text.endswith("\n")
    assert capsys.readouterr().out == ""

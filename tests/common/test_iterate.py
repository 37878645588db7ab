"""The loop under every fit: where it goes on, and what it tells."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from synthood.common.iterate import Iteration, ResumeFile
from synthood.common.time_limit import TimeLimit
from synthood.errors import SynthoodError


class ExpectedError(Exception):
    pass


class Tally:
    """Learns the sum of its steps."""

    def __init__(self):
        self.sum = torch.zeros(1)

    def state_dict(self):
        return {"sum": self.sum}

    def load_state_dict(self, state):
        self.sum = state["sum"]


def fit(folder, total=6, fingerprint="f", save_seconds=0.0, interrupt=None, name="net"):
    """Steps taken, the sum learned, and the history; `interrupt` is called with every step."""
    tally = Tally()
    loop = Iteration(name, total, ResumeFile(folder, fingerprint, save_seconds), {"tally": tally})
    steps = []
    for step in loop:
        steps.append(step)
        if interrupt is not None:
            interrupt(step)
        tally.sum = tally.sum + step
        loop.history.append({"step": float(step)})
    return steps, tally.sum.item(), [row["step"] for row in loop.history]


def failing_at(wrong):
    def interrupt(step):
        if step == wrong:
            raise ExpectedError

    return interrupt


def stopped_at(last, number=signal.SIGTERM):
    return lambda step: os.kill(os.getpid(), number) if step == last else None


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "resume"


def test_an_undisturbed_fit_takes_every_step_and_keeps_its_state(folder, capsys):
    assert fit(folder) == ([0, 1, 2, 3, 4, 5], 15.0, [0, 1, 2, 3, 4, 5])
    assert [path.name for path in folder.iterdir()] == ["net.pt"]
    assert "resumed" not in capsys.readouterr().out
    assert fit(folder) == ([], 15.0, [0, 1, 2, 3, 4, 5])
    assert capsys.readouterr().out == "net: resumed at step 6 of 6\n"


def test_it_goes_on_after_an_exception_as_if_undisturbed(folder, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ExpectedError):
        fit(folder, interrupt=failing_at(3))
    assert signal.getsignal(signal.SIGTERM) is handler
    assert fit(folder) == ([3, 4, 5], 15.0, [0, 1, 2, 3, 4, 5])
    assert "net: resumed at step 3 of 6\n" in capsys.readouterr().out


def test_nothing_is_saved_before_its_time(folder):
    with pytest.raises(ExpectedError):
        fit(folder, save_seconds=1000, interrupt=failing_at(3))
    assert not folder.exists()
    assert fit(folder, save_seconds=1000)[0] == [0, 1, 2, 3, 4, 5]
    assert (folder / "net.pt").exists()


def test_a_longer_fit_goes_on_from_a_finished_one(folder):
    fit(folder, total=4)
    assert fit(folder, total=6) == ([4, 5], 15.0, [0, 1, 2, 3, 4, 5])


def test_another_jobs_state_starts_over_and_says_so(folder, capsys):
    with pytest.raises(ExpectedError):
        fit(folder, interrupt=failing_at(3))
    capsys.readouterr()
    assert fit(folder, fingerprint="g") == ([0, 1, 2, 3, 4, 5], 15.0, [0, 1, 2, 3, 4, 5])
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{folder / 'net.pt'}: resume state of other settings, inputs or code; starting over"


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"text" * 9])
def test_an_unreadable_state_starts_over_and_says_so(folder, capsys, damage):
    with pytest.raises(ExpectedError):
        fit(folder, interrupt=failing_at(3))
    file = folder / "net.pt"
    file.write_bytes(damage(file.read_bytes()))
    capsys.readouterr()
    assert fit(folder) == ([0, 1, 2, 3, 4, 5], 15.0, [0, 1, 2, 3, 4, 5])
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{file}: unreadable resume state (")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("state", [[1, 2], {"a": 1}, {"fingerprint": "f"}], ids=str)
def test_a_foreign_state_starts_over(folder, state):
    folder.mkdir()
    torch.save(state, folder / "net.pt")
    assert fit(folder)[0] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("last", [0, 2, 5])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_stops_with_its_code(folder, capsys, last, number, code):
    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught:
        fit(folder, save_seconds=1000, interrupt=stopped_at(last, number))
    assert caught.value.code == code
    assert signal.getsignal(number) is handler
    assert capsys.readouterr().out.splitlines()[-1] == f"net: stopped by {number.name}, saved at step {last + 1}"
    rest = list(range(last + 1, 6))
    assert fit(folder) == (rest, 15.0, [0, 1, 2, 3, 4, 5])


def test_a_signal_while_the_last_state_is_saved_counts_too(folder, monkeypatch):
    """Else a job of several fits would begin the next one."""

    def saved(tally):
        os.kill(os.getpid(), signal.SIGTERM)
        return {"sum": tally.sum}

    with monkeypatch.context() as patched:
        patched.setattr(Tally, "state_dict", saved)
        with pytest.raises(SystemExit):
            fit(folder, save_seconds=1000)
    assert fit(folder) == ([], 15.0, [0, 1, 2, 3, 4, 5])


def test_a_signal_without_a_place_to_save_stops_too(capsys):
    with pytest.raises(SystemExit) as caught:
        fit(None, interrupt=stopped_at(1))
    assert caught.value.code == 143
    assert capsys.readouterr().out.splitlines()[-1] == "net: stopped by SIGTERM"


def test_without_a_folder_nothing_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fit(None)[0] == [0, 1, 2, 3, 4, 5]
    assert list(tmp_path.iterdir()) == []
    ResumeFile(None, "f").clear()


def test_every_fit_of_a_job_has_its_own_state_and_clear_takes_all(folder):
    with pytest.raises(ExpectedError):
        fit(folder, interrupt=failing_at(2), name="first")
    assert fit(folder, name="second")[0] == [0, 1, 2, 3, 4, 5]
    assert sorted(path.name for path in folder.iterdir()) == ["first.pt", "second.pt"]
    assert fit(folder, name="first")[0] == [2, 3, 4, 5]
    ResumeFile(folder, "f").clear()
    assert not folder.exists()
    ResumeFile(folder, "f").clear()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_is_told_with_where(folder, value):
    loop = Iteration("ce seed 3", 10, ResumeFile(None, "f"), {})
    with pytest.raises(SynthoodError) as caught:
        loop.check(7, 0.0123456, epoch=2, real=1.0, synthetic=value)
    assert str(caught.value) == (
        f"ce seed 3: synthetic became {value} at epoch 2, step 7 with learning rate 0.0123; lower the learning rate"
    )
    with pytest.raises(SynthoodError, match=r"^ce seed 3: loss became .* at step 8 with learning rate 0\.5; "):
        loop.check(8, 0.5, loss=value)


def test_finite_losses_are_shown(folder):
    loop = Iteration("net", 10, ResumeFile(None, "f"), {})
    loop.check(7, 0.1, epoch=2, loss=-1.5)
    assert loop.figures == {"epoch": 2, "loss": -1.5}
    loop.check(8, 0.1, loss=0.0)
    assert loop.figures == {"loss": 0.0}


def interrupted(folder):
    """The state of a fit that was killed at step 3."""
    with pytest.raises(ExpectedError):
        fit(folder, interrupt=failing_at(3))
    return folder / "net.pt"


def test_no_flipped_bit_of_a_state_is_loaded(folder, capsys):
    file = interrupted(folder)
    content, resume = file.read_bytes(), ResumeFile(folder, "f")
    assert resume.load("net")["step"] == 3
    for bit in np.random.default_rng(0).integers(8 * len(content), size=200).tolist():
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        assert resume.load("net") is None, bit
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 200
    assert all(line.startswith(f"{file}: unreadable resume state (") for line in out)
    file.write_bytes(content)
    assert fit(folder)[0] == [3, 4, 5]


@pytest.mark.parametrize("step", [10**9, 7, -1, 2.0, "3"])
def test_a_step_that_cannot_be_starts_over_and_says_so(folder, capsys, step):
    ResumeFile(folder, "f").save("net", {"step": step, "state": {"tally": {"sum": torch.ones(1)}}, "history": []})
    assert fit(folder) == ([0, 1, 2, 3, 4, 5], 15.0, [0, 1, 2, 3, 4, 5])
    assert capsys.readouterr().out.startswith(f"net: a resume state of step {step} of 6 cannot be; starting over\n")


def test_the_state_of_another_fit_of_the_same_job_starts_over(folder, capsys):
    interrupted(folder).rename(folder / "other.pt")
    assert fit(folder, name="other")[0] == [0, 1, 2, 3, 4, 5]
    assert "other.pt: resume state of" in capsys.readouterr().out


def near_at(step, monkeypatch):
    count = iter(range(1000))
    monkeypatch.setattr(TimeLimit, "is_near", lambda self: self.asks_at is not None and next(count) >= step)


def test_a_fit_saves_asks_and_goes_on_in_its_next_turn(asked, tmp_path, monkeypatch, capsys):
    near_at(2, monkeypatch)
    with pytest.raises(SystemExit) as caught:
        fit(tmp_path / "resume", save_seconds=1000)
    assert caught.value.code == 143
    assert asked.read_text() == "requeue 17\n"
    told = "net: near the job's time limit, saved at step 3; queued again"
    assert capsys.readouterr().out.splitlines()[-1] == told
    monkeypatch.undo()
    assert fit(tmp_path / "resume") == ([3, 4, 5], 15.0, [0, 1, 2, 3, 4, 5])


def test_a_fit_goes_on_where_slurm_refuses(asked, tmp_path, monkeypatch, capsys):
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\nexit 1\n")
    near_at(2, monkeypatch)
    assert fit(tmp_path / "resume", save_seconds=1000)[0] == [0, 1, 2, 3, 4, 5]
    out = capsys.readouterr()
    assert (out.out + out.err).count("near the job's time limit, and Slurm does not queue it again") == 1


def test_without_a_place_to_save_no_turn_is_asked_for(asked, monkeypatch):
    """It would begin anew each time."""
    near_at(0, monkeypatch)
    assert fit(None)[0] == [0, 1, 2, 3, 4, 5]
    assert not asked.exists()


def test_the_last_step_ends_the_fit(asked, tmp_path, monkeypatch):
    near_at(5, monkeypatch)
    assert fit(tmp_path / "resume")[0] == [0, 1, 2, 3, 4, 5]
    assert not asked.exists()


def test_a_job_ends_well_while_another_machine_saves_the_same_states(folder, monkeypatch):
    ours, theirs, unlink = ResumeFile(folder, "f"), ResumeFile(folder, "f"), Path.unlink
    for resume in (ours, theirs):
        resume.save("net", {"step": 1, "state": {}, "history": []})

    def meanwhile(file, missing_ok=False):
        if file.name == "net.pt":
            unlink(file)  # by the other machine, too
            theirs.save("later", {"step": 2, "state": {}, "history": []})
        unlink(file, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", meanwhile)
        ours.clear()
    assert theirs.load("later") is not None

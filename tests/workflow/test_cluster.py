"""Limits that reach the jobs of a cluster, their states where Slurm has no accounting, and what a failure means."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from synthood.errors import SynthoodError
from synthood.workflow.cluster import (
    GPU_LIMIT,
    ask_squeue_without_accounting,
    fit_into_nodes,
    gpu_limit,
    look_at_intervals,
    without_log,
)


@pytest.mark.parametrize(
    ("given", "on_cluster", "limit", "left"),
    [(None, False, 1, None), (None, True, None, None), (0, True, 0, "0"), (4, False, 4, "4"), (4, True, 4, "4")],
)
def test_one_gpu_locally_and_what_is_given_reaches_the_jobs(
    given: int | None, on_cluster: bool, limit: int | None, left: str | None
) -> None:
    """What an outer Snakemake left is forgotten."""
    environment = {GPU_LIMIT: "7"}
    assert gpu_limit(True, given, on_cluster, environment) == limit
    assert environment.get(GPU_LIMIT) == left
    assert gpu_limit(False, None, True, environment) == given


@dataclass
class Settings:
    """As the plugin's."""

    status_command: str = "sacct"
    init_seconds_before_status_checks: int = 40


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, sacct: int, age: str = "300 sec") -> None:
    for name, text in (("sacct", f"exit {sacct}"), ("scontrol", f"echo 'MinJobAge  = {age}'")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_sacct_is_asked_where_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, sacct=0)
    settings = Settings()
    ask_squeue_without_accounting(settings)
    assert settings.status_command == "sacct"


def test_squeue_is_asked_without_accounting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs(tmp_path, monkeypatch, sacct=1)
    settings = Settings()
    ask_squeue_without_accounting(settings)
    assert settings.status_command == "squeue"
    assert "no accounting (sacct does not answer)" in capsys.readouterr().out


def test_jobs_that_slurm_forgets_too_soon_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin would fall back to sacct, and wait forever."""
    programs(tmp_path, monkeypatch, sacct=1, age="100 sec")
    with pytest.raises(SynthoodError, match=r"MinJobAge is 100 s, less than squeue needs; ask for .* of 120 s, or set"):
        ask_squeue_without_accounting(Settings())
    ask_squeue_without_accounting(patient := Settings(init_seconds_before_status_checks=30))
    assert patient.status_command == "squeue"


def test_without_sacct_the_plugin_chooses_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings()
    ask_squeue_without_accounting(settings)
    assert settings.status_command == "sacct"


def test_states_are_looked_at_in_even_intervals() -> None:
    """Whatever an executor would wait, as the plugin does after each look at which no job had ended."""

    class Executor:
        next_seconds_between_status_checks = 40.0

    look_at_intervals(Executor, 10)
    executor = Executor()
    executor.next_seconds_between_status_checks += 10
    assert executor.next_seconds_between_status_checks == 10


def test_where_slurm_does_not_answer_no_job_is_submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SynthoodError, match=r"sinfo does not answer; start the workflow where .* as on a login node"):
        fit_into_nodes(None)


def test_jobs_without_a_log_are_told_once_for_each_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that does not see the folder cannot write there."""
    (tmp_path / "there.log").touch()
    logs = {3: ("n1", "gone.log"), 4: ("n2", "there.log"), 5: ("n1", "also-gone.log")}
    lines = [f"{job}) echo 'JobId={job} NodeList={n} StdOut={tmp_path / log}';;" for job, (n, log) in logs.items()]
    asked = tmp_path / "asked"
    for name, text in (
        ("squeue", f"echo $@ >'{asked}'; printf '3\\n4\\n5\\n'"),
        ("scontrol", f"case $4 in {' '.join(lines)} esac"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (told,) = without_log("the-run")
    assert told.startswith("Slurm: jobs ended on node n1 before they could write a log: ")
    assert "--name the-run" in asked.read_text()

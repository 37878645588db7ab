"""Limits that reach the jobs of a cluster, and their states where Slurm has no accounting."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from synthood.errors import SynthoodError
from synthood.workflow.cluster import GPU_LIMIT, ask_squeue_without_accounting, gpu_limit


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

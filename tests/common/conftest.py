"""A job of Slurm, by programs named like its own."""

from pathlib import Path

import pytest

from synthood.common.time_limit import MARGIN


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of Slurm with 1000 s left; its requests are written to the file."""
    file = tmp_path / "asked"
    (tmp_path / "bin").mkdir()
    for name, text in (("squeue", "echo 16:40"), ("scontrol", f"echo $@ >>'{file}'")):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv(MARGIN, "120")
    return file

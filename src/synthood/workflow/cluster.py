"""What a cluster's jobs must know of the Snakemake that submits them, and how it learns their states."""

import os
import re
import shutil
import subprocess
from collections.abc import MutableMapping
from typing import Any

from synthood.errors import SynthoodError

GPU_LIMIT = "SYNTHOOD_GPU_LIMIT"
"""In a job's environment: the `--resources gpu=N` of the Snakemake that submitted it."""
SECONDS_TO_ANSWER = 30
MISSES = 3
"""Intervals between two looks at the jobs for which Slurm must remember a finished one (the plugin's own bound)."""


def gpu_limit(submits: bool, given: int | None, on_cluster: bool, environment: MutableMapping[str, str]) -> int | None:
    """How many GPUs jobs may hold at once, None where a scheduler counts them.

    Locally one where nothing is `given`. Snakemake does not pass `--resources` on to the jobs of a cluster, which
    would ask for a GPU that they did not get: the Snakemake that `submits` leaves the limit in their environment.
    """
    if not submits:
        return int(environment[GPU_LIMIT]) if GPU_LIMIT in environment else given
    environment.pop(GPU_LIMIT, None)
    if given is not None:
        environment[GPU_LIMIT] = str(given)
    return 1 if given is None and not on_cluster else given


def accounting_works() -> bool:
    """Whether `sacct` answers, from which the plugin learns by default what became of a job."""
    return _answer("sacct", "-X", "--noheader", "--starttime", "now") is not None


def ask_squeue_without_accounting(settings: Any) -> None:
    """Changes the Slurm plugin's settings where `sacct` has no answer, for which it would wait forever.

    Raises SynthoodError where Slurm forgets finished jobs too soon for `squeue`.
    """
    if getattr(settings, "status_command", None) != "sacct" or shutil.which("sacct") is None or accounting_works():
        return
    seconds = settings.init_seconds_before_status_checks
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", _answer("scontrol", "show", "config") or "", re.MULTILINE)
    if found is None or int(found[1]) < MISSES * seconds:
        age = f"MinJobAge is {found[1]} s" if found else "scontrol does not show MinJobAge"
        raise SynthoodError(
            f"Slurm: sacct does not answer, and {age}, less than squeue needs; ask for accounting or a MinJobAge of "
            f"{MISSES * seconds} s, or set --slurm-init-seconds-before-status-checks below a third of it"
        )
    settings.status_command = "squeue"
    print("Slurm: no accounting (sacct does not answer); squeue says what became of the jobs", flush=True)


def _answer(*command: str) -> str | None:
    """What a program prints; None where it fails, or takes too long."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=SECONDS_TO_ANSWER, env=os.environ
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None

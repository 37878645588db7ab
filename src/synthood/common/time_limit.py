"""The time limit of a Slurm job: shortly before it, a fit that has saved its state asks for another turn."""

import os
import re
import subprocess
import time

MARGIN = "SYNTHOOD_REQUEUE_SECONDS"
"""In the environment of a job that may ask for another turn: so many seconds before its limit."""
SECONDS_TO_ANSWER = 30


def seconds_of(text: str) -> float | None:
    """Of a span of time as Slurm writes it, `[days-][[hours:]minutes:]seconds`; None for `infinite` and the like."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


class TimeLimit:
    """That of the Slurm job in which this process runs, where the workflow lets it ask for another turn."""

    def __init__(self) -> None:
        self.job = os.environ.get("SLURM_JOB_ID")
        self.asks_at: float | None = None
        margin = float(os.environ.get(MARGIN) or 0)
        if self.job and margin > 0:
            left = seconds_of(_answer("squeue", "--noheader", "--jobs", self.job, "--format", "%L") or "")
            if left is not None:
                # Of a short limit a quarter, so that each turn gets on.
                self.asks_at = time.monotonic() + left - min(margin, left / 4)

    def is_near(self) -> bool:
        """Whether to save and ask for another turn now."""
        return self.asks_at is not None and time.monotonic() >= self.asks_at

    def asked(self) -> bool:
        """Whether Slurm takes the job back into its queue, from which it starts anew; asks once."""
        self.asks_at = None
        return self.job is not None and _answer("scontrol", "requeue", self.job) is not None


def _answer(*command: str) -> str | None:
    """What a program prints; None where it fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS_TO_ANSWER)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout

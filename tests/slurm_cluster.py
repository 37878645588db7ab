"""A Slurm of one node that slurm/cluster.sh starts, and its answers."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checkouts import HANGS

SCRIPT = Path(__file__).with_name("slurm") / "cluster.sh"


@dataclass
class Cluster:
    """Its state and logs are in a folder, its commands in `bin` of that."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def answer(self, *command: str) -> str:
        """What a command of Slurm prints."""
        return subprocess.run(
            command, env=os.environ | self.environment, text=True, check=True, capture_output=True, timeout=60
        ).stdout.strip()

    def jobs(self, *states: str) -> list[str]:
        """Ids of jobs; without states, of all that Slurm remembers."""
        return self.answer("squeue", "--noheader", f"--states={','.join(states) or 'all'}", "--format", "%i").split()

    def fact(self, job: str, name: str) -> str:
        """Such as `Restarts`."""
        fields = self.answer("scontrol", "show", "job", "--oneliner", job).split()
        return next(field.partition("=")[2] for field in fields if field.startswith(f"{name}="))

    def script(self, action: str, *more: str) -> None:
        subprocess.run([SCRIPT, action, str(self.folder), *more], check=True, timeout=120)

    def kill_node(self) -> None:
        os.kill(int((self.folder / "slurmd.pid").read_text()), 9)


def until(condition: Callable[[], object], what: str) -> None:
    """Waits for what must come."""
    end = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.5)

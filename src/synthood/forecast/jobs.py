"""The jobs of a configuration, as Snakemake plans them."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synthood.errors import SynthoodError, first_line
from synthood.workflow.run import PACKAGE, workflow_folder


@dataclass(frozen=True)
class Job:
    """One job: its rule, what it reads and writes, and whether it is `left` to do."""

    rule: str
    wildcards: dict[str, str]
    settings: str
    flags: str
    inputs: list[str]
    outputs: list[str]
    threads: int
    memory: int
    """MiB that the rule asks for."""
    on_gpu: bool
    """Whether it computes on a GPU where there is one."""
    left: bool

    @property
    def name(self) -> str:
        """Its first output, which no other job has."""
        return self.outputs[0]

    @cached_property
    def files(self) -> dict[str, list[str]]:
        """Its files by the option that names them."""
        found: dict[str, list[str]] = defaultdict(list)
        option = ""
        for word in shlex.split(self.flags):
            if word.startswith("--"):
                option = word[2:].replace("-", "_")
            else:
                found[option].append(word)
        return dict(found)


def planned(config: Path, directory: Path) -> list[Job]:
    """The jobs of a configuration whose results and relative paths are in a folder, inputs before what is made of them.

    Raises SynthoodError where Snakemake cannot plan them.
    """
    state = directory / ".snakemake"
    new = not state.exists()
    command = [sys.executable, "-m", "synthood.forecast.ask_snakemake"]
    files = [workflow_folder() / "Snakefile", config.resolve(), directory.resolve()]
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [*command, *map(str, files)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if new and not (directory / "results").exists():
        shutil.rmtree(state, ignore_errors=True)
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise SynthoodError(f"{config}: Snakemake cannot plan it: {last_line(done.stderr)}") from None
    if isinstance(found, dict):
        raise SynthoodError(f"{config}: {first_line(found['error'])}")
    return [Job(**one) for one in found]


def last_line(text: str) -> str:
    """Of a process's errors."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without a message"

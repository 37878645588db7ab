"""A checkout of the project in a temporary folder, on which tests run Snakemake."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[1]
TIMES = rb'(?<=id="costs">)[^<]*|{"detector":"[^"]+","step":"[^"]+","value":[^}]*}'
"""Where the report page has what differs from run to run: run times of stages, and of detectors in their figure."""
HANGS = 1200.0
"""Seconds after which a process is taken to hang: a busy machine needs minutes for what takes seconds."""
CARRIED = ("Snakefile", "rules", "envs", "src", "profiles", "report", "schemas", "examples/reencoded")


@dataclass
class Workflow:
    """A checkout in a temporary folder."""

    place: Path
    stages: str = "off"
    """Folder of the server from which its jobs fork (`stage_client.py`)."""

    def command(self, *options: str, cores: int | None = 2) -> list[str]:
        """Snakemake on this machine's cores, or with None on a cluster's."""
        return [sys.executable, "-m", "snakemake", *(["--cores", str(cores)] if cores else []), *options]

    def run(self, *options: str, cores: int | None = 2, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs Snakemake to its end; output and errors together."""
        return subprocess.run(
            self.command(*options, cores=cores),
            cwd=self.place,
            env=os.environ | {"SYNTHOOD_STAGES": self.stages} | variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    def planned(self, *options: str) -> set[str]:
        """Messages of the jobs that would run, each with the rule's verb and all wildcards."""
        done = self.run("-n", *options)
        assert done.returncode == 0, done.stdout
        jobs = set(re.findall(r"^Job \d+: (.+)$", done.stdout, re.MULTILINE))
        assert jobs or "Nothing to be done" in done.stdout, done.stdout
        return jobs

    @property
    def config(self) -> dict[str, Any]:
        return dict(yaml.safe_load((self.place / "config.yaml").read_text()))

    @config.setter
    def config(self, value: dict[str, Any]) -> None:
        (self.place / "config.yaml").write_text(yaml.safe_dump(value, sort_keys=False))

    def artefacts(self) -> dict[str, bytes]:
        """Bytes of all results without facts of the run: provenance, logs, run times, times in the report page."""
        results = self.place / "results"
        return {
            str(path.relative_to(results)): re.sub(TIMES, b"", path.read_bytes())
            for path in sorted(results.rglob("*"))
            if path.is_file()
            and not path.name.startswith(".")
            and not path.name.endswith(".provenance.json")
            and not path.name.startswith("run_time.")
            and path.relative_to(results).parts[0] not in ("logs", "benchmarks")
        }

    def copied(self, place: Path) -> "Workflow":
        """The same checkout with its results elsewhere, as `cp -a` does."""
        shutil.copytree(self.place, place, symlinks=True)
        return Workflow(place, self.stages)


@dataclass
class WarmWorkflow(Workflow):
    """The same checkout, for commands that start no job: all fork from one process, which has imported and planned."""

    server: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm_snakemake.py"))],
            cwd=self.place,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, *options: str, cores: int | None = 2, **variables: str) -> subprocess.CompletedProcess[str]:
        return self._forked(self.command(*options, cores=cores)[3:], variables)

    def jobs(self, config: Path) -> list[dict[str, Any]]:
        """What `synthood.forecast.ask_snakemake` prints of a configuration."""
        done = self._forked(["ask_snakemake", str(self.place / "Snakefile"), str(config), str(self.place)], {})
        found = json.loads(done.stdout.splitlines()[-1])
        assert isinstance(found, list), done.stdout
        return found

    def _forked(self, arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        assert self.server.stdin
        assert self.server.stdout
        self.server.stdin.write(json.dumps({"arguments": arguments, "variables": variables}) + "\n")
        self.server.stdin.flush()
        code, output = json.loads(self.server.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, output)

    def end(self) -> None:
        """Ends the process."""
        self.server.communicate()


def checkout(place: Path, stages: str = "off", of: Workflow | None = None) -> Workflow:
    """The project's files without results, with the tests' configuration, or those of another checkout."""
    place.mkdir(parents=True)
    for name in CARRIED:
        source = (of.place if of else PROJECT) / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(source, place / name)
    shutil.copy2(of.place / "config.yaml" if of else PROJECT / "tests" / "config.yaml", place / "config.yaml")
    return Workflow(place, stages)


def warm_stages() -> str:
    """A server for the stages of all workflows of this process, which ends with it."""
    return str(Path(tempfile.gettempdir(), f"synthood-stages-{os.getpid()}-{secrets.token_hex(8)}"))

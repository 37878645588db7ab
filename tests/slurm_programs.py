"""Programs named like Slurm's that record how they are called: what the plugin submits is seen without a cluster.

`sbatch` runs the first job at once, in an environment as in a job of Slurm, and no other; `srun` goes no further.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

NAMES = ("sbatch", "srun", "squeue", "sacct", "scontrol", "sinfo")
FOLDER = "RECORDED_CALLS"
"""Not SLURM_...: the plugin takes such variables away from the steps of its jobs."""


def install(folder: Path) -> dict[str, str]:
    """The environment in which these programs are found."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name in NAMES:
        program = programs / name
        here = str(Path(__file__).parent)
        program.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.append({here!r})\nimport slurm_programs as s\ns.main()\n"
        )
        program.chmod(0o755)
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", FOLDER: str(folder)}


def calls(folder: Path) -> list[dict[str, Any]]:
    """Every call so far: `program` and `arguments`."""
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def option(call: dict[str, Any], name: str) -> str | None:
    """The value of `--name=value` or `--name value` in a call."""
    words = call["arguments"]
    found = [one.partition("=")[2] for one in words if one.startswith(f"{name}=")]
    found += [after for one, after in pairwise(words) if one == name]
    return found[0] if found else None


def main() -> None:
    program, arguments, folder = Path(sys.argv[0]).name, sys.argv[1:], Path(os.environ[FOLDER])
    with (folder / "calls.jsonl").open("a") as stream:
        stream.write(json.dumps({"program": program, "arguments": arguments}) + "\n")
    if program == "sbatch":
        number = str(os.getpid())
        (folder / f"{number}.job").touch()
        with suppress(FileExistsError):
            (folder / "begun").mkdir()
            wrapped = next(one.partition("=")[2] for one in arguments if one.startswith("--wrap="))
            environment = os.environ | {"SLURM_JOB_ID": number}
            with (folder / f"{number}.log").open("w") as log:
                subprocess.run(wrapped, shell=True, env=environment, stdout=log, stderr=log, check=False)
        print(number)
    elif program == "srun":
        sys.exit(1)
    elif program == "squeue":
        print(*(f"{job.stem}|FAILED" for job in folder.glob("*.job")), sep="\n")
    elif program == "sacct":
        sys.exit("Slurm accounting storage is disabled")
    elif program == "scontrol":
        print("MinJobAge               = 300 sec")
    elif program == "sinfo":
        print("main*" if "%P" in arguments else "main*|64|500000|gpu:4|infinite\nmine|64|500000|gpu:4|infinite")

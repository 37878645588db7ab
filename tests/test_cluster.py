"""What the Slurm profile submits: the plugin's own calls of sbatch and srun, recorded by programs of their names."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from checkouts import HANGS, Workflow
from slurm_programs import calls, install, option

pytestmark = pytest.mark.workflow

QUICK = ("--retries", "0", "--latency-wait", "0", "--seconds-between-status-checks", "1")
GENERATORS = ["results/digits/generators/biggan", "results/digits/generators/sd"]


def submitted(
    fresh: Workflow, folder: Path, targets: list[str], *options: str, profile: str = "profiles/slurm"
) -> dict[str, list[dict[str, Any]]]:
    """Calls by program, of jobs whose images are there; their steps are refused, so that nothing is computed."""
    images = fresh.place / "results/digits/images"
    images.mkdir(parents=True, exist_ok=True)
    for part in ("train", "val", "test", "digits-6"):
        (images / f"{part}.safetensors").touch()
    (fresh.place / "results/digits/overlaps_id.csv").touch()
    soon = ("--slurm-init-seconds-before-status-checks", "1")
    command = fresh.command("--profile", profile, *targets, *QUICK, *soon, *options, cores=None)
    done = subprocess.run(
        command,
        cwd=fresh.place,
        env=os.environ | install(folder),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=HANGS,
    )
    assert done.returncode == 1, done.stdout
    assert "no accounting (sacct does not answer); squeue says what became of the jobs" in done.stdout
    assert "SLURM status is: 'FAILED'" in done.stdout
    found: dict[str, list[dict[str, Any]]] = {}
    for call in calls(folder):
        found.setdefault(call["program"], []).append(call)
    return found


def test_every_gpu_job_is_submitted_at_once_with_its_gpu(fresh: Workflow, tmp_path: Path) -> None:
    """Both generators before anybody asks for a state: no limit of one GPU for a whole cluster."""
    found = submitted(fresh, tmp_path / "slurm", GENERATORS)
    order = [call["program"] for call in calls(tmp_path / "slurm") if call["program"] in ("sbatch", "squeue")]
    assert order[:3] == ["sbatch", "sbatch", "squeue"]
    assert [option(call, "--gpus") for call in (*found["sbatch"], *found["srun"])] == ["1"] * 3
    assert {option(call, "--cpus-per-task") for call in found["sbatch"]} == {"4"}


def test_without_gpus_no_step_asks_for_one(fresh: Workflow, tmp_path: Path) -> None:
    """Neither the job nor, which Slurm refused, the step in it."""
    found = submitted(fresh, tmp_path / "slurm", GENERATORS[:1], "--resources", "gpu=0")
    assert len(found["sbatch"]) == len(found["srun"]) == 1
    for call in (*found["sbatch"], *found["srun"]):
        assert [one for one in call["arguments"] if one.startswith(("--gpus", "--gres", "--ntasks-per-gpu"))] == []


PROFILE = """
executor: slurm
jobs: 50
default-resources:
  slurm_partition: mine
set-resources:
  train:
    mem_mb: 5000 * attempt
"""


def test_memory_and_time_grow_with_each_attempt_by_any_profile(fresh: Workflow, tmp_path: Path) -> None:
    """Those of the rules, or a profile's; profiles/default hides nothing of another profile."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "profile.yaml").write_text(PROFILE)
    targets = [GENERATORS[0], "results/digits/models/ce/seed0/model.safetensors"]
    found = submitted(fresh, tmp_path / "slurm", targets, "--retries", "1", profile=str(tmp_path / "mine"))
    assert {option(call, "-p") for call in found["sbatch"]} == {"mine"}
    asked = {(option(call, "--mem"), option(call, "-t")) for call in found["sbatch"]}
    assert asked == {("32000", "1440"), ("64000", "2880"), ("5000", "1440"), ("10000", "2880")}

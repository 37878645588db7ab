"""What a cluster's jobs must know of the Snakemake that submits them, and how it learns their states."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from synthood.common.time_limit import MARGIN
from synthood.errors import SynthoodError
from synthood.workflow.slurm_nodes import SINFO, Asked, bounds, partitions

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


def prepare_slurm(workflow: Any) -> None:
    """Before the first job is submitted: how its state is asked, what a node has, and whether it may be queued again.

    Raises SynthoodError at what Slurm would refuse, or keep waiting for ever.
    """
    settings = workflow.executor_settings
    ask_squeue_without_accounting(settings)
    look_at_intervals(
        workflow.executor_plugin.executor, workflow.remote_execution_settings.seconds_between_status_checks
    )
    fit_into_nodes(workflow)
    if settings.requeue:
        os.environ.setdefault(MARGIN, "120")


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


def look_at_intervals(executor: type, seconds: float) -> None:
    """Lets an executor ask for the states of all jobs every so many seconds.

    The plugin's own intervals grow by ten seconds while no job ends, up to three minutes, by which every level of short
    jobs would take longer.
    """
    executor.next_seconds_between_status_checks = property(lambda self: seconds, lambda self, value: None)  # type: ignore[attr-defined]


def fit_into_nodes(workflow: Any) -> None:
    """Bounds what jobs and groups ask for by what a node has, also at later attempts, and says so.

    Slurm refuses a job with more memory, and never starts one with more time than its partition's limit, or more
    threads than a node has, as a group whose jobs could all run at once would have. Raises
    SynthoodError as `bounds` does, and where Slurm does not answer.
    """
    printed = _answer(*SINFO)
    if printed is None:
        raise SynthoodError(
            "Slurm: sinfo does not answer; start the workflow where Slurm's commands work, as on a login node"
        )
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    bound, notes = bounds(_asked(jobs), partitions(printed))
    for note in notes:
        print(f"Slurm: cut for {note}", flush=True)
    workflow.resource_scopes.update({"mem_mb": "local", "runtime": "local"})  # for each job, not for all together
    for name, value in bound.items():
        given = workflow.global_resources[name].value if name in workflow.global_resources else None
        # Not where the scheduler looks, which would count the threads of all jobs on the cluster
        workflow.global_resources[name] = value if given is None else min(given, value)
    for job in jobs:
        job.attempt = job.attempt  # computes its resources anew


def without_log(run: str) -> list[str]:
    """Of a failed run, given by the name of its jobs: why some left no log, one sentence for each node."""
    failed = _answer("squeue", "--noheader", "--states=FAILED,NODE_FAIL", "--name", run, "--format", "%i") or ""
    shown = [_answer("scontrol", "show", "job", "--oneliner", job) or "" for job in failed.split()]
    facts = [dict(re.findall(r"(\w+)=(\S*)", job)) for job in shown]
    blind = [job for job in facts if "StdOut" in job and not Path(job["StdOut"]).exists()]
    return [
        f"Slurm: jobs ended on node {node} before they could write a log: the folder {Path.cwd()}, its results "
        f"and Python must be on a disk that all nodes share (docs/cluster.md)"
        for node in sorted({job.get("NodeList", "?") for job in blind})
    ]


def _asked(jobs: Iterable[Any]) -> Iterator[Asked]:
    for job in jobs:
        resources = job.resources
        if any(resources.get(name) for name in ("cluster", "clusters", "slurm_cluster")):
            continue  # another cluster's nodes
        yield Asked(
            job.rule.name,
            str(resources.get("slurm_partition") or ""),
            job.threads,
            *(_number(resources.get(name)) for name in ("mem_mb", "gpu", "runtime")),
        )


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _answer(*command: str) -> str | None:
    """What a program prints; None where it fails, or takes too long."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=SECONDS_TO_ANSWER, env=os.environ
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None

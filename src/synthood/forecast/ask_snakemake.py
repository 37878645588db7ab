"""Prints what a run would do as JSON: `python -m synthood.forecast.ask_snakemake SNAKEFILE CONFIG DIRECTORY`.

A process of its own, since Snakemake changes the folder, the log and the environment of the one that it runs in.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings


def main(snakefile: Path, config: Path, directory: Path) -> None:
    """Prints a list of jobs, or an object with the `error` that stopped Snakemake."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            found: Any = jobs(snakefile, config, directory)
        except Exception as error:  # whatever Snakemake raises, its caller tells in one sentence
            found = {"error": f"{error}"}
    print(json.dumps(found))


def jobs(snakefile: Path, config: Path, directory: Path) -> list[dict[str, Any]]:
    """Every job of the default target, those that are up to date among them, in an order in which they could run."""
    quiet = OutputSettings(dryrun=True, quiet={Quietness.ALL})
    with SnakemakeApi(quiet) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=os.cpu_count()),
            config_settings=ConfigSettings(configfiles=[config]),
            snakefile=snakefile,
            workdir=directory,
        )
        workflow.dag().execute_workflow(executor="dryrun")
        dag = workflow._workflow.dag
        ordered = [job for level in dag.toposorted() for job in level]
        return [described(job) | {"left": bool(dag.needrun(job))} for job in ordered if job.output]


def described(job: Any) -> dict[str, Any]:
    """What a forecast needs of one job."""
    return {
        "rule": job.rule.name,
        "wildcards": dict(job.wildcards_dict),
        "settings": str(job.params.get("settings", "{}")),
        "flags": str(job.params.get("flags", "")),
        "inputs": sorted(map(str, job.input)),
        "outputs": list(map(str, job.output)),
        "threads": int(job.threads),
        "memory": int(job.resources.get("mem_mb", 0)),
        "on_gpu": "gpu" in dict(job.resources.items()),
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""User CPU time of a `snakemake` with nothing to do, against plain Snakemake: python benchmarks/planning.py

A configuration with about 1,000 jobs: recipes x seeds on digits, some with synthetic images or a teacher. All outputs
are there, empty, and Snakemake has recorded them (`--touch`). The reference is reference.smk, without this package: as
many jobs of as many wildcards, outputs and inputs each, and one parameter; its input functions look the paths up in a
table. Both run with the bytecode that Python keeps and the digests of code that this package keeps. Bar: 1.6 times.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from bench import options, run
from compare import Measurement, judged, paired

ROOT = Path(__file__).parents[1]
TIMES = 1.6
SIZES = {1000: (1, 20, 15), 10000: (4, 40, 20)}
"""Datasets, recipes and seeds by the number of jobs that they make, about."""


def configuration(datasets: int, recipes: int, seeds: int) -> dict[str, Any]:
    """A table for each dataset, over all recipes and seeds."""
    network = {"name": "resnet8", "width": 16}
    ways: list[dict[str, Any]] = [
        {},
        {"synthetic": {"from": "biggan", "alpha": 0.8}},
        {"teacher": {"recipe": "plain-0", "logit_weight": 1.0}},
        {"augmentation": {"cutout": 12}},
    ]
    detectors = ["msp", "energy", "knn", "mds", "vim", "react"]
    made = {"train_per_class": 80, "val_per_class": 20}
    names = [f"plain-{i}" if i % 4 == 0 else f"recipe-{i}" for i in range(recipes)]
    return {
        "version": 2,
        "build": [f"table-{i}" for i in range(datasets)],
        "datasets": {
            f"digits-{i}": {
                "id": {"kind": "digits", "classes": [0, 1, 2, 3, 4, 5 + i], **made},
                "near": {"other": {"kind": "digits", "classes": [9]}},
                "far": {kind: {"kind": kind, "images": 400} for kind in ("textures", "noise")},
                "ood_validation": {"kind": "shuffled-quadrants", "images": 240},
            }
            for i in range(datasets)
        },
        "generators": {"biggan": {"kind": "biggan", "fit": {"steps": 400}, "images_per_class": 100, "block_size": 100}},
        "recipes": {
            name: {"network": network, "epochs": 10 + i // 4, "batch_size": 60, "learning_rate": 0.1, **ways[i % 4]}
            for i, name in enumerate(names)
        },
        "detectors": {name: {"kind": name} for name in detectors} | {"vim": {"kind": "vim", "dimension": 32}},
        "tables": {
            f"table-{i}": {
                "datasets": [f"digits-{i}"],
                "recipes": names,
                "seeds": list(range(seeds)),
                "detectors": detectors,
                "baselines": names[:1],
            }
            for i in range(datasets)
        },
    }


Job = dict[str, Any]
"""Rule, wildcards, inputs and outputs of a job."""


def jobs_of(folder: Path, *arguments: str) -> list[Job]:
    """The jobs that would run in a folder; a folder's name ends in /."""
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", "--d3dag", *arguments]
    listed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    return [dict(job) for job in json.loads(listed.splitlines()[-1])]


def print_jobs(arguments: list[str]) -> None:
    """What `snakemake --d3dag` draws, with files."""
    from snakemake import cli, dag

    def jobs(self: Any) -> None:
        found = []
        for job in self.needrun_jobs():
            outputs = [f"{file}/" if file.is_directory else file for file in job.output]
            found.append([job.rule.name, dict(job.wildcards_dict), [*job.input], outputs])
        print(json.dumps([dict(zip(("rule", "wildcards", "inputs", "outputs"), job, strict=True)) for job in found]))

    dag.DAG.d3dag = jobs
    cli.main(arguments)


def write_reference(jobs: list[Job], folder: Path) -> None:
    """What reference.smk reads: the same jobs, a folder for each rule, a file for each output."""
    places: dict[str, str] = {}
    for job in jobs:
        stem = "/".join(["out", job["rule"], *job["wildcards"].values()])
        places |= {output.rstrip("/"): f"{stem}/{number}" for number, output in enumerate(job["outputs"])}
    rules: dict[str, dict[str, Any]] = {}
    for job in sorted(jobs, key=lambda job: bool(job["outputs"])):  # Snakemake's target is the first rule
        stem = "/".join(["out", job["rule"], *(f"{{{name}}}" for name in job["wildcards"])])
        outputs = [f"{stem}/{number}" for number in range(len(job["outputs"]))]
        rule = rules.setdefault(job["rule"], {"names": [*job["wildcards"]], "outputs": outputs, "inputs": {}})
        rule["inputs"]["/".join(job["wildcards"].values())] = [places[one.rstrip("/")] for one in job["inputs"]]
    folder.joinpath("rules.json").write_text(json.dumps(rules))


def make(jobs: list[Job], folder: Path) -> None:
    """Every output of the jobs, empty."""
    for name in (output for job in jobs for output in job["outputs"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()


def snakemake(folder: Path, *arguments: str, done: bool = True) -> None:
    """Snakemake in a folder; raises where there is something to do, unless not yet `done`."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    keeping = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    said = subprocess.run(command, cwd=folder, env=keeping, capture_output=True, text=True, check=True).stderr
    if done and "Nothing to be done" not in said:
        raise SystemExit(f"there is something to do after --touch: {said[-2000:]}")


def user() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def rows(given: Namespace) -> Iterator[Measurement]:
    turns, seconds = (3, 20.0) if given.quick else (9, 240.0)
    with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
        own, plain = Path(here), Path(there)
        own.joinpath("config.yaml").write_text(yaml.safe_dump(configuration(*SIZES[given.jobs]), sort_keys=False))
        ours = ["-s", str(ROOT / "Snakefile"), "--configfile", "config.yaml"]
        theirs = ["-s", str(ROOT / "benchmarks/reference.smk")]
        jobs = jobs_of(own, *ours)
        write_reference(jobs, plain)
        others = jobs_of(plain, *theirs)
        counts = [(len(found), sum(len(job["inputs"]) for job in found)) for found in (jobs, others)]
        if counts[0] != counts[1]:
            raise SystemExit(f"the reference has other jobs and inputs than the plan: {counts}")
        for folder, found, arguments in ((own, jobs, ours), (plain, others, theirs)):
            make(found, folder)
            snakemake(folder, *arguments, "--touch", done=False)
        times = paired(partial(snakemake, own, *ours), partial(snakemake, plain, *theirs), turns, seconds, user)
    what = f"snakemake with {counts[0][0]} jobs done, {counts[0][1]} inputs: user time"
    yield judged(what, times, "reference.smk", bar=1 / TIMES)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        print_jobs(sys.argv[2:])
    else:
        parser = options(__doc__)
        parser.add_argument("--jobs", type=int, choices=SIZES, default=1000)
        sys.exit(run("planning", rows, parser.parse_args()))

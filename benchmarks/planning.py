"""User CPU time of `snakemake -n` beside plain Snakemake: python benchmarks/planning.py [--check] [--jobs 1000]

Configurations with about 1,000 and 10,000 jobs are planned in an empty folder: recipes x seeds on digits, some with
synthetic images or a teacher. The reference is a Snakefile without this package, written from the plan: the same jobs,
with as many wildcards, outputs and inputs each, and one parameter; its input functions look the paths up in a table.
They run in turns after one run of each, with the bytecode that Python keeps and the digests of code that this package
keeps; the smallest of the times counts. Bars: at most 1.5 times at 1,000 jobs, 2 times at 10,000. With --check, exit
code 1 where a bar is not met.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
BARS = {1000: 1.5, 10000: 2.0}
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
        "detectors": {name: {"kind": name} for name in detectors},
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
    """The jobs that would run in a folder, the target last."""
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", "--d3dag", *arguments]
    listed = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, check=True).stdout
    return [dict(job) for job in json.loads(listed.splitlines()[-1])]


def print_jobs(arguments: list[str]) -> None:
    """What `snakemake --d3dag` draws, with files."""
    from snakemake import cli, dag

    def jobs(self: Any) -> None:
        found = [(job.rule.name, dict(job.wildcards_dict), [*job.input], [*job.output]) for job in self.needrun_jobs()]
        print(json.dumps([dict(zip(("rule", "wildcards", "inputs", "outputs"), job, strict=True)) for job in found]))

    dag.DAG.d3dag = jobs
    cli.main(arguments)


def write_reference(jobs: list[Job], folder: Path) -> None:
    """A Snakefile of plain Snakemake with these jobs: a folder for each rule, a file for each output."""
    places: dict[str, str] = {}
    for job in jobs:
        stem = "/".join(["out", job["rule"], *job["wildcards"].values()])
        places |= {output: f"{stem}/{number}" for number, output in enumerate(job["outputs"])}
    table: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for job in jobs:
        table[job["rule"]]["/".join(job["wildcards"].values())] = [places[one] for one in job["inputs"]]
    rules = []
    for job in {job["rule"]: job for job in jobs}.values():
        rule, names = job["rule"], list(job["wildcards"])
        key = " + '/' + ".join(f"w.{name}" for name in names) or "''"
        lines = [f"rule {rule}:", f"    input: lambda w: TABLE[{rule!r}][{key}]"]
        if job["outputs"]:
            stem = "/".join(["out", rule, *(f"{{{name}}}" for name in names)])
            lines += [
                "    output: " + ", ".join(repr(f"{stem}/{number}") for number in range(len(job["outputs"]))),
                f"    params: settings=lambda w: {key}",
                "    shell: 'stage {params.settings} {input} {output}'",
            ]
        rules.append("\n".join(lines))
    rules.sort(key=lambda rule: not rule.startswith("rule all:"))
    names = sorted({name for job in jobs for name in job["wildcards"]})
    head = "import json\nTABLE = json.load(open('table.json'))\nwildcard_constraints: "
    folder.joinpath("table.json").write_text(json.dumps(table))
    text = [head + ", ".join(f"{name}='[^/]+'" for name in names), *rules]
    folder.joinpath("Snakefile").write_text("\n\n".join(text) + "\n")


def seconds(folder: Path, *arguments: str) -> float:
    """User CPU seconds of a dry run in a folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-m", "snakemake", "-n", *arguments]
    keeping = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, cwd=folder, env=keeping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def ratio(size: int, repeats: int) -> float:
    """Prints both times and returns one over the other."""
    with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
        own, plain = Path(here), Path(there)
        own.joinpath("config.yaml").write_text(yaml.safe_dump(configuration(*SIZES[size]), sort_keys=False))
        options = ["-s", str(ROOT / "Snakefile"), "--configfile", "config.yaml"]
        jobs = jobs_of(own, *options)
        write_reference(jobs, plain)
        counts = [(len(found), sum(len(job["inputs"]) for job in found)) for found in (jobs, jobs_of(plain))]
        if counts[0] != counts[1]:
            raise SystemExit(f"the reference has other jobs and inputs than the plan: {counts}")
        times = [(seconds(own, *options), seconds(plain)) for _ in range(repeats + 1)][1:]
    ours, reference = map(min, zip(*times, strict=True))
    print(
        f"{counts[0][0]} jobs with {counts[0][1]} inputs: {ours:.1f} s of user time, reference {reference:.1f} s, "
        f"{ours / reference:.2f} times (bar {BARS[size]:g})",
        flush=True,
    )
    return ours / reference


def main() -> int:
    if sys.argv[1:2] == ["--inside"]:
        print_jobs(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit code 1 where a bar is not met")
    parser.add_argument("--jobs", type=int, choices=BARS, action="append", help="these sizes alone")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each, of which the fastest counts")
    given = parser.parse_args()
    met = [ratio(size, given.repeats) <= BARS[size] for size in given.jobs or BARS]
    return int(given.check and not all(met))


if __name__ == "__main__":
    sys.exit(main())

"""Time and memory of a run's stages, from the benchmark files that Snakemake writes."""

import csv
import math
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cost:
    """Jobs of one stage: how many, their seconds in all and at most, seconds of CPU, and the largest memory in MB."""

    stage: str
    jobs: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0


def costs(folder: Path, datasets: Collection[str], names: Collection[str]) -> list[Cost]:
    """Of every stage with benchmarks in `STAGE/DATASET/NAME...`, of these datasets and names, longest first."""
    found: dict[str, Cost] = defaultdict(lambda: Cost(""))
    for path in sorted(folder.glob("*/*/**/*.tsv")):
        stage, dataset, *rest = path.relative_to(folder).with_suffix("").parts
        if dataset in datasets and set(rest) & set(names):
            cost = found[stage]
            cost.stage = stage
            for row in rows(path):
                seconds = number(row, "s")
                cost.jobs += 1
                cost.seconds += seconds
                cost.longest = max(cost.longest, seconds)
                cost.cpu += number(row, "cpu_time")
                cost.memory = max(cost.memory, number(row, "max_rss"))
    return sorted(found.values(), key=lambda one: -one.seconds)


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a benchmark file; none where it cannot be read, since a page needs no times."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, ValueError, csv.Error):
        return []


def number(row: dict[str, str], name: str) -> float:
    """0 for what Snakemake could not measure, such as the memory of a job of a second."""
    try:
        value = float(row.get(name) or 0)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def duration(seconds: float) -> str:
    """Such as 4.2 s, 12 min or 3.1 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"

"""Time and memory of a run's jobs, from the provenance of their outputs."""

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthood.common.artefact import PROVENANCE


@dataclass
class Cost:
    """Jobs of one stage: how many, their seconds in all and at most, seconds of CPU, and the largest memory in MiB."""

    stage: str
    jobs: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0


def costs(results: Path, datasets: Collection[str], names: Collection[str]) -> list[Cost]:
    """Of every stage with outputs in `DATASET/.../NAME...`, of these datasets and names, longest first."""
    found: dict[str, Cost] = defaultdict(lambda: Cost(""))
    seen = set()
    for dataset in sorted(datasets):
        for path in sorted((results / dataset).rglob(f"*{PROVENANCE}")):
            facts = read(path)
            job = (facts.get("stage"), facts.get("fingerprint"))
            # A job with several outputs counts once
            if "cpu_seconds" not in facts or job in seen or not set(names) & parts_of(path, results):
                continue
            seen.add(job)
            cost = found[facts["stage"]]
            cost.stage = facts["stage"]
            cost.jobs += 1
            cost.seconds += facts["seconds"]
            cost.longest = max(cost.longest, facts["seconds"])
            cost.cpu += facts["cpu_seconds"]
            cost.memory = max(cost.memory, facts["peak_memory_mib"])
    return sorted(found.values(), key=lambda one: -one.seconds)


def parts_of(path: Path, results: Path) -> set[str]:
    """Names in the output's path."""
    return {*path.relative_to(results).parts[:-1], path.name.removesuffix(PROVENANCE)}


def read(path: Path) -> dict[str, Any]:
    """A provenance file; empty where it cannot be read, since a page needs no times."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def duration(seconds: float) -> str:
    """Such as 4.2 s, 12 min or 3.1 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"

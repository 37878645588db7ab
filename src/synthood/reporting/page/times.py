"""Time and memory of a run's stages, from the provenance next to its artefacts."""

import json
import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthood.common import forecasts
from synthood.common.artefact import PROVENANCE, RESULTS

NAMED = ("models", "generators", "synthetic", "outliers")
"""Folders of a dataset that hold a folder or file for each name; what is in others belongs to the whole dataset."""


@dataclass
class Cost:
    """Jobs of one stage: how many, seconds in all and at most, seconds of CPU, and the largest memory in MiB.

    Of those that `synthood plan` foretold, the CPU seconds that it said, with their error, and that they took.
    """

    stage: str
    jobs: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0
    foretold: float = 0.0
    error: float = 0.0
    taken: float = 0.0

    def compared(self) -> str:
        """What was foretold, and by how much it was missed; empty where nothing was."""
        if not self.foretold or not self.taken:
            return ""
        missed = self.taken / self.foretold - 1
        return f"{duration(self.foretold)} ± {duration(self.error)}; took {missed:+.0%}"


def costs(results: Path, datasets: Collection[str], tables: Collection[str], names: Collection[str]) -> list[Cost]:
    """Of every stage that made something of these datasets, tables and names, longest first; each job counts once."""
    found: dict[str, Cost] = {}
    # A job's later outputs say more seconds than its earlier ones.
    known = sorted(jobs_of(results, datasets, tables, names), key=lambda job: number(job, "seconds"))
    told = forecasts.read(results)
    foretold = {job["fingerprint"]: told[job["output"]] for job in known if job["output"] in told}
    for job in {job["fingerprint"]: job for job in known}.values():
        cost = found.setdefault(job["stage"], Cost(job["stage"]))
        seconds = number(job, "seconds")
        cost.jobs += 1
        cost.seconds += seconds
        cost.longest = max(cost.longest, seconds)
        cost.cpu += number(job, "cpu_seconds")
        cost.memory = max(cost.memory, number(job, "peak_memory_mib"))
        if (one := foretold.get(job["fingerprint"])) is not None:
            # What a stage's jobs have in common is wrong in all of them
            cost.foretold, cost.error = cost.foretold + one.cpu, cost.error + one.error
            cost.taken += number(job, "cpu_seconds")
    return sorted(found.values(), key=lambda one: (-one.seconds, one.stage))


def processors(
    results: Path, datasets: Collection[str], tables: Collection[str], names: Collection[str]
) -> dict[str, int]:
    """Jobs by the instructions that they computed with, most first."""
    jobs = {job["fingerprint"]: job for job in jobs_of(results, datasets, tables, names)}.values()
    return dict(Counter(job["processor"] for job in jobs if isinstance(job.get("processor"), str)).most_common())


def jobs_of(
    results: Path, datasets: Collection[str], tables: Collection[str], names: Collection[str]
) -> Iterator[dict[str, Any]]:
    """The provenance of these artefacts; what cannot be read is left out, since a page needs no times."""
    folders = [*(results / dataset for dataset in sorted(datasets)), results / "tables", results / "figures"]
    for path in (path for folder in folders for path in sorted(folder.rglob(f"*{PROVENANCE}"))):
        first, *rest = path.relative_to(results).parts
        name = rest[min(1, len(rest) - 1)].removesuffix(PROVENANCE) if rest[0] in NAMED else ""
        table = rest[0] if first == "figures" else Path(rest[0].removesuffix(PROVENANCE)).stem
        of_table = any(table in (one, f"{one}-gains") for one in tables)
        if of_table if first in ("tables", "figures") else not name or name in names:
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(facts, dict) and isinstance(facts.get("stage"), str) and facts.get("fingerprint"):
                output = path.relative_to(results).as_posix().removesuffix(PROVENANCE)
                yield {**facts, "output": f"{RESULTS}/{output}"}


def number(facts: dict[str, Any], name: str) -> float:
    """0 for what is not known, such as the memory of a job of an older version."""
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def duration(seconds: float) -> str:
    """Such as 4.2 s, 12 min or 3.1 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"

"""What jobs of earlier runs took, from the provenance next to their results."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthood.common.artefact import read_provenance
from synthood.forecast.jobs import Job

OF_THE_SAME = 0.05
"""Relative error of a job's own record: the same job again."""
OF_ONE = 0.2
"""Of a stage's times by a single record of it."""


@dataclass(frozen=True)
class Record:
    """Seconds of the processor, those that went by, MiB, and whether it computed on a GPU."""

    cpu: float
    seconds: float
    memory: float
    on_gpu: bool
    settings: str


def records(jobs: Iterable[Job]) -> dict[str, Record]:
    """By job's name what the process that made its results took; nothing of jobs whose records are gone."""
    found = {}
    for job in jobs:
        # Of several outputs, the last one knows all that the job took
        facts = max((read_provenance(Path(path)) for path in job.outputs), key=lambda one: number(one, "cpu_seconds"))
        if number(facts, "cpu_seconds"):
            found[job.name] = Record(
                number(facts, "cpu_seconds"),
                number(facts, "seconds"),
                number(facts, "peak_memory_mib"),
                str(facts.get("device", "")).startswith("cuda"),
                str(facts.get("settings", "")),
            )
    return found


def number(facts: Mapping[str, Any], key: str) -> float:
    """0 for what is not recorded."""
    value = facts.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


@dataclass(frozen=True)
class Factor:
    """What a stage's jobs took, as a share of what operations say; its relative error; and of how many jobs."""

    value: float
    error: float
    jobs: int


def factors(pairs: Iterable[tuple[str, float, float]]) -> dict[str, Factor]:
    """By rule, of rules with recorded and estimated seconds of a job: the geometric mean of their ratios."""
    logs: dict[str, list[float]] = defaultdict(list)
    for rule, recorded, estimated in pairs:
        if recorded > 0 and estimated > 0:
            logs[rule].append(math.log(recorded / estimated))
    found = {}
    for rule, each in logs.items():
        mean = sum(each) / len(each)
        spread = math.sqrt(sum((one - mean) ** 2 for one in each) / (len(each) - 1)) if len(each) > 1 else OF_ONE
        found[rule] = Factor(math.exp(mean), max(OF_THE_SAME, spread / math.sqrt(len(each))), len(each))
    return found

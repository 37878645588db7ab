"""The file in which `synthood plan` leaves what it foretold, for the report page to compare with."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from synthood.common.artefact import replacing

FILE = "forecast.json"
"""In the folder of results."""
FORMAT = 1


class Foretold(NamedTuple):
    """Seconds of the processor that a job was to take, and their standard deviation."""

    cpu: float
    error: float


def read(results: Path) -> dict[str, Foretold]:
    """By a job's first output, as a path that begins with the folder's name; empty where there is no such file."""
    try:
        found = json.loads((results / FILE).read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            return {}
        told = {str(name): Foretold(float(cpu), float(error)) for name, (cpu, error) in found["jobs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {name: one for name, one in told.items() if all(map(math.isfinite, one))}


def write(results: Path, told: Mapping[str, Foretold]) -> Path:
    """Adds jobs to those of earlier forecasts, and replaces those of the same outputs; gives the file."""
    jobs = {name: [round(one.cpu, 3), round(one.error, 3)] for name, one in sorted({**read(results), **told}.items())}
    with replacing(results / FILE) as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, "jobs": jobs}, indent=1) + "\n", encoding="utf-8")
    return results / FILE

"""What a job takes beside its operations: imports, files, figures. Of the demo's jobs on one core of a Xeon of 2023."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

from synthood.forecast.operation import Taken


class Usual(NamedTuple):
    """Seconds of the processor, MiB held, KiB written."""

    seconds: float
    memory: float
    disk: float


START = 2.6
"""Seconds in which that core imports torch and a stage."""
OTHERS = Usual(0.4, 600, 100)
USUAL = {
    "prepare": Usual(0.3, 480, 10),
    "overlaps_id": Usual(0.15, 480, 10),
    "overlaps": Usual(0.15, 480, 10),
    "leaks": Usual(0.5, 560, 100),
    "drop_leaks": Usual(0.3, 480, 10),
    "sheet": Usual(1.0, 600, 500),
    "fit_generator": Usual(1.0, 760, 500),
    "synthesise": Usual(0.7, 760, 10),
    "assess": Usual(2.0, 700, 200),
    "fit_encoder": Usual(0.7, 680, 10),
    "embed": Usual(0.4, 600, 10),
    "boundary": Usual(0.3, 540, 10),
    "crossing": Usual(0.5, 540, 10),
    "latents": Usual(0.7, 700, 10),
    "guided": Usual(0.9, 760, 10),
    "gate": Usual(0.8, 740, 10),
    "assess_outliers": Usual(2.5, 850, 300),
    "scale_curve": Usual(1.2, 800, 50),
    "train": Usual(0.5, 600, 20),
    "extract": Usual(0.4, 600, 10),
    "score": Usual(0.35, 560, 50),
    "tabulate": Usual(2.7, 560, 200),
    "plot": Usual(10.0, 700, 3000),
    "plot_results": Usual(4.6, 580, 1000),
    "map": Usual(0.7, 580, 100),
    "report_page": Usual(2.0, 580, 3000),
    "export_detector": Usual(6.0, 800, 500),
}
SPREAD = 0.3
"""Relative error of these."""


def usual(rule: str) -> Usual:
    """Of a rule's jobs."""
    return USUAL.get(rule, OTHERS)


def start_of_a_job() -> Taken:
    """Seconds in which this machine's processor starts a stage of its own process: imports, most of all."""
    command = [sys.executable, "-c", "import synthood.training.train"]
    found = []
    for _ in range(2):
        began = _of_children()
        subprocess.run(command, check=True)
        found.append(_of_children() - began)
    return Taken(min(found), max(0.1, (max(found) - min(found)) / min(found)), measured=True)


def _of_children() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

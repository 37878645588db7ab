"""A forecast as text: a row per stage, the sum, and what it rests on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from synthood.common.cores import cores
from synthood.errors import printable
from synthood.forecast.forecast import Amount, Cost, Forecast, device_seconds, wall_seconds
from synthood.forecast.operation import CPU_RATE
from synthood.workflow.run_log import duration

HEAD = ("stage", "jobs", "left", "CPU time", "or on a GPU", "disk", "memory")
DAY = 86400.0
ASSUMED = 12
"""Assumptions that are named."""
SOURCES = {
    "record": "their own records of an earlier run",
    "records": "records of their stage's other jobs",
    "measured": "measured operations",
    "operations": "operations that were not measured",
}


def shown(name: str, found: Forecast) -> str:
    """The whole text."""
    return "\n".join([*table(found), "", *sums(name, found), "", *basis(found)])


def table(found: Forecast) -> Iterator[str]:
    """A row per stage, in the order of the workflow, of what is left; with the sum."""
    stages: dict[str, list[Cost]] = defaultdict(list)
    for cost in found.costs:
        stages[cost.job.rule].append(cost)
    rows = [HEAD, *(row(stage, costs) for stage, costs in stages.items()), row("left in total", found.costs)]
    if len(found.left) < len(found.costs):
        rows.append(row("with what is done", found.costs, every=True))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        first, *others = zip(cells, widths, strict=True)
        yield f"{first[0]:<{first[1]}}  " + "  ".join(f"{cell:>{width}}" for cell, width in others)


def row(name: str, costs: Sequence[Cost], every: bool = False) -> tuple[str, ...]:
    """Cells of some jobs: what those cost that are left, or all."""
    left = [cost for cost in costs if every or cost.job.left]
    gpu = device_seconds(left)
    return (
        name,
        str(len(costs)),
        str(sum(cost.job.left for cost in costs)),
        with_error(Amount.of(cost.cpu for cost in left)) if left else "-",
        with_error(gpu) if gpu.seconds else "-",
        in_bytes(sum(cost.disk for cost in left)) if left else "-",
        in_bytes(max(cost.memory for cost in left) * 2**20) if left else "-",
    )


def sums(name: str, found: Forecast) -> Iterator[str]:
    """What is left in hours, and how long that takes here."""
    left = found.left
    if not left:
        yield f"{name}: all {len(found.costs)} jobs are up to date"
        return
    cpu = Amount.of(cost.cpu for cost in left)
    gpu = device_seconds(left)
    beside = Amount.of(cost.cpu for cost in left if not cost.gpu)
    if found.gpus:
        yield f"{name}: {hours(gpu)} GPU-hours and {hours(beside)} CPU-hours of jobs without one are left"
    else:
        yield f"{name}: {hours(cpu)} CPU-hours are left"
        if gpu.seconds:
            yield (
                f"  with GPUs instead: {hours(gpu)} GPU-hours at {found.gpu_tflops:g} TFLOP/s (assumed; --gpu-tflops), "
                f"and {hours(beside)} CPU-hours of jobs without one"
            )
    yield (
        f"  {takes(found)}, if nothing else runs; {in_bytes(sum(cost.disk for cost in left))} on disk, memory at most "
        f"{in_bytes(max(cost.memory for cost in left) * 2**20)} a job"
    )


def basis(found: Forecast) -> Iterator[str]:
    """What the figures follow from."""
    count = Counter(cost.source for cost in found.left or found.costs)
    told = ", ".join(f"{count[key]} by {words}" for key, words in SOURCES.items() if count[key])
    yield f"jobs: {told}"
    if found.rates.known:
        yield (
            f"measured: {len(found.rates.known)} operations of this machine; what was not measured computes "
            f"{found.rates.rate / 1e9:.3g} GFLOP/s as they do, within a factor of 2"
        )
    else:
        yield f"nothing was measured: {CPU_RATE / 1e9:g} GFLOP/s of a core are assumed, within a factor of 2"
    yield "±: one standard deviation, of repeated measurements (10 % at least), records (5 %) and assumed rates"
    if found.assumed:
        listed = list(found.assumed.items())
        parts = [f"{printable(place)} {what}" for place, what in listed[:ASSUMED]]
        more = f"; and {len(listed) - ASSUMED} more" if len(listed) > ASSUMED else ""
        yield f"assumed, beyond these errors: {'; '.join(parts)}{more}"


def with_error(amount: Amount) -> str:
    """Such as 42 ± 3 s; minutes from 100 s, hours from 100 minutes on."""
    for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if amount.seconds >= 100 * size / 60 or unit == "s":
            return f"{figure(amount.seconds / size)} ± {figure(amount.error / size)} {unit}"
    raise AssertionError


def figure(value: float) -> str:
    """Two figures, or all before the point of three, without an exponent."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def hours(amount: Amount) -> str:
    return f"{figure(amount.seconds / 3600)} ± {figure(amount.error / 3600)}"


def in_bytes(size: float) -> str:
    """Such as 12 MiB."""
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20)):
        if size >= 1000 * 2 ** (power - 10):
            return f"{figure(size / 2**power)} {unit}"
    return f"{size / 1024:.0f} KiB"


def takes(found: Forecast) -> str:
    """How long what is left takes here."""
    return f"about {about(wall_seconds(found.left, cores(), found.gpus))} on this machine ({machine(found.gpus)})"


def about(seconds: float) -> str:
    """Seconds in whole minutes from two on, in days from two on."""
    if seconds >= 2 * DAY:
        return f"{figure(seconds / DAY)} days"
    return duration(seconds) if seconds < 120 or seconds >= 7200 else f"{round(seconds / 60)} minutes"


def machine(gpus: int) -> str:
    """What a run here has."""
    count = cores()
    return f"{count} core" + "s" * (count != 1) + (f", {gpus} GPU" if gpus else ", no GPU")

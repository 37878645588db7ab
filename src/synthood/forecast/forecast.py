"""The cost of a configuration's jobs, before they run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synthood.common.devices import device_for
from synthood.config.models import Config
from synthood.forecast.jobs import Job
from synthood.forecast.operation import CPU_SPREAD, Rates, Taken, measure
from synthood.forecast.records import OF_THE_SAME, Factor, Record, factors, records
from synthood.forecast.sizes import Sizes
from synthood.forecast.usual import SPREAD, START, start_of_a_job, usual
from synthood.forecast.work import Work, Works
from synthood.workflow.plan import Plan

GPU_TFLOPS, GPU_SPREAD = 10.0, 0.7
"""Operations a second, in millions of millions, that a GPU is taken to achieve; standard deviation of the logarithm."""
GPU_START = 10.0
"""Seconds of a job on a GPU before it computes: imports, and CUDA's own."""
Parts = dict[str, tuple[float, float]]
"""Seconds by what they follow from, with the relative error, which all jobs with that source share."""


@dataclass(frozen=True)
class Cost:
    """A job with its seconds of the processor and, where it can use one, of a GPU, bytes written and MiB held."""

    job: Job
    cpu: Parts
    gpu: Parts
    disk: float
    memory: float
    source: str
    """What its time follows from: record, records, measured, or operations."""

    @property
    def seconds(self) -> float:
        return sum(seconds for seconds, _ in self.cpu.values())


@dataclass(frozen=True)
class Amount:
    """Seconds with their standard deviation."""

    seconds: float
    error: float

    @classmethod
    def of(cls, parts: Iterable[Parts]) -> Amount:
        """A sum: errors of one source add up, those of different sources are independent."""
        sources: dict[str, float] = defaultdict(float)
        total = 0.0
        for part in parts:
            for source, (seconds, error) in part.items():
                total += seconds
                sources[source] += seconds * error
        return cls(total, math.sqrt(sum(error**2 for error in sources.values())))


@dataclass(frozen=True)
class Forecast:
    """The costs of all jobs, and what they rest on."""

    costs: Sequence[Cost]
    gpus: int
    gpu_tflops: float
    rates: Rates
    start: Taken
    factors: Mapping[str, Factor] = field(default_factory=dict)
    assumed: Mapping[str, str] = field(default_factory=dict)

    @property
    def left(self) -> list[Cost]:
        """The costs of jobs that are not up to date."""
        return [cost for cost in self.costs if cost.job.left]


@dataclass(frozen=True)
class Basis:
    """How costs are found: seconds of computing to measure, 0 for none; a GPU's rate; GPUs of this machine."""

    seconds: float = 60.0
    gpu_tflops: float = GPU_TFLOPS
    gpus: int = 0


def forecast(config: Config, jobs: Sequence[Job], basis: Basis) -> Forecast:
    """What the jobs of a configuration cost, whose results and relative paths are below the working folder."""
    sizes = Sizes(Plan(config))
    works = Works(sizes)
    work = {job.name: works.of(job) for job in jobs}
    known = records(jobs)
    unknown = [job for job in jobs if job.name not in known] or list(jobs)
    wanted = [pair for job in unknown for pair in work[job.name].operations]
    with device_for(min(1, basis.gpus)) as device:
        rates = measure(wanted, device, basis.seconds)
    start = start_of_a_job() if basis.seconds > 0 else Taken(START, CPU_SPREAD, measured=False)
    estimates = {job.name: _estimated(job, work[job.name], rates, start, basis) for job in jobs}
    ratios = factors(
        (job.rule, known[job.name].cpu, Amount.of([estimates[job.name].cpu]).seconds)
        for job in jobs
        if job.name in known and known[job.name].on_gpu == (job.on_gpu and basis.gpus > 0)
    )
    costs = [_with_records(estimates[job.name], known.get(job.name), ratios.get(job.rule)) for job in jobs]
    return Forecast(costs, basis.gpus, basis.gpu_tflops, rates, start, ratios, sizes.assumed)


def _estimated(job: Job, work: Work, rates: Rates, start: Taken, basis: Basis) -> Cost:
    """By operations alone, measured or not."""
    own = usual(job.rule)
    here = job.on_gpu and basis.gpus > 0
    cpu: Parts = {f"a job of {job.rule}": (own.seconds * start.seconds / START, SPREAD)}
    if here:
        cpu["a job's start"] = (start.seconds, start.error)
    sure = 0.0
    operations = 0.0
    for operation, count in work.operations:
        taken = rates.of(operation)
        seconds = count * taken.seconds
        source = operation.name if taken.measured or operation.usual else "operations that were not measured"
        before, _ = cpu.get(source, (0.0, 0.0))
        cpu[source] = (before + seconds, taken.error)
        sure += seconds * taken.measured
        operations += count * operation.flops
    total = sum(seconds for seconds, _ in cpu.values())
    gpu: Parts = {}
    if here:
        gpu = {source: part for source, part in cpu.items() if source != f"a job of {job.rule}"}
    elif job.on_gpu:
        gpu = {
            "the GPU's rate": (operations / (basis.gpu_tflops * 1e12), GPU_SPREAD),
            "starts on a GPU": (GPU_START, SPREAD),
        }
    disk = sum(_size(Path(path)) for path in job.outputs) or work.disk + own.disk * 1024
    source = "operations" if sure < total - own.seconds - sure else "measured"
    return Cost(job, cpu, gpu, disk, own.memory + work.memory, source)


def _with_records(cost: Cost, own: Record | None, factor: Factor | None) -> Cost:
    """The same with what earlier runs took: this very job, or others of its rule."""
    rule = cost.job.rule
    if own is not None and own.settings == cost.job.settings:
        gpu: Parts = {f"records of {rule}": (own.seconds, OF_THE_SAME)} if own.on_gpu else cost.gpu
        cpu: Parts = {f"records of {rule}": (own.cpu, OF_THE_SAME)}
        return Cost(cost.job, cpu, gpu, cost.disk, own.memory or cost.memory, "record")
    if factor is None:
        return cost
    cpu = {f"records of {rule}": (cost.seconds * factor.value, factor.error)}
    return Cost(cost.job, cpu, cost.gpu, cost.disk, cost.memory, "records")


def _size(path: Path) -> float:
    """Bytes of what is there already."""
    if path.is_dir():
        return float(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))
    return float(path.stat().st_size) if path.exists() else 0.0


def wall_seconds(costs: Sequence[Cost], cores: int, gpus: int) -> float:
    """How long jobs take on so many cores, each as soon as its inputs are there, the longest way to the end first."""
    seconds = {cost.job.name: Amount.of([cost.gpu if gpus and cost.job.on_gpu else cost.cpu]).seconds for cost in costs}
    makers = {path: cost.job.name for cost in costs for path in cost.job.outputs}
    before = {
        cost.job.name: {makers[path] for path in cost.job.inputs if path in makers} - {cost.job.name} for cost in costs
    }
    after: dict[str, list[str]] = defaultdict(list)
    for name, others in before.items():
        for other in others:
            after[other].append(name)
    rest: dict[str, float] = {}
    for cost in reversed(costs):
        name = cost.job.name
        rest[name] = seconds[name] + max((rest[one] for one in after[name]), default=0.0)
    on_gpu = {cost.job.name for cost in costs if gpus and cost.job.on_gpu}
    waiting = {name: len(others) for name, others in before.items()}
    ready = [name for name, count in waiting.items() if not count]
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        for name in sorted(ready, key=lambda one: -rest[one]):
            busy = sum(one in on_gpu for _, one in running)
            if len(running) < cores and (name not in on_gpu or busy < gpus):
                ready.remove(name)
                running.append((now + seconds[name], name))
        now, done = min(running)
        running.remove((now, done))
        for name in after[done]:
            waiting[name] -= 1
            if not waiting[name]:
                ready.append(name)
    return now


def device_seconds(costs: Iterable[Cost]) -> Amount:
    """Seconds of a GPU."""
    return Amount.of(cost.gpu for cost in costs)

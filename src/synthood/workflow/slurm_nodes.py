"""What the nodes of a Slurm cluster have, beside what jobs ask for: told before the first one is submitted."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from synthood.common.time_limit import seconds_of
from synthood.errors import SynthoodError, nearest

SINFO = ("sinfo", "--noheader", "--exact", "--format", "%P|%c|%m|%G|%l")
GPUS = re.compile(r"gpu(?::[^:,()]+)?:(\d+)")
UNLIMITED = 2**31


@dataclass(frozen=True)
class Partition:
    """The most that a job on one node gets: memory in MB, time in minutes."""

    name: str
    is_default: bool = False
    threads: int = 0
    memory: int = 0
    gpus: int = 0
    minutes: int = UNLIMITED


@dataclass(frozen=True)
class Asked:
    """By a job, in the same units; `partition` may be several names with commas, or empty for the default one."""

    rule: str
    partition: str
    threads: int
    memory: int
    gpus: int
    minutes: int


def partitions(printed: str) -> dict[str, Partition]:
    """Of what `SINFO` prints, a line per kind of node and partition."""
    found: dict[str, Partition] = {}
    for line in printed.splitlines():
        if line.count("|") != 4:
            continue
        name, threads, memory, gres, limit = line.split("|")
        seconds = seconds_of(limit)
        here = Partition(
            name.rstrip("*"),
            name.endswith("*"),
            int(threads),
            int(memory),
            sum(map(int, GPUS.findall(gres))),
            UNLIMITED if seconds is None else int(seconds // 60),
        )
        found[here.name] = _most([here, found.get(here.name, here)])
    return found


def bounds(asked: Iterable[Asked], known: Mapping[str, Partition]) -> tuple[dict[str, int], list[str]]:
    """The most memory (`mem_mb`), time (`runtime`) and threads (`_cores`) that any job or group of jobs can get.

    Also notes on rules that ask for more memory or time.

    Raises SynthoodError at an unknown partition, and where no node has the GPUs or threads of a job.
    """
    of_partition: dict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        of_partition[one.partition].append(one)
    notes, most = [], []
    for names, jobs in of_partition.items():
        here = _chosen(names, jobs, known)
        if many := [job for job in jobs if job.gpus > here.gpus]:
            do = "lower it by set-resources" if here.gpus else "--resources gpu=0 computes without"
            raise SynthoodError(
                f"Slurm: {_rules(many)} asked for {_gpus(many)}, but nodes of partition {here.name} have "
                f"{here.gpus or 'none'}; choose another slurm_partition, or {do}"
            )
        if many := [job for job in jobs if job.threads > here.threads]:
            raise SynthoodError(
                f"Slurm: {_rules(many)} asked for {max(job.threads for job in many)} threads, but nodes of partition "
                f"{here.name} have {here.threads}; choose another slurm_partition, or --max-threads {here.threads}"
            )
        if many := [job for job in jobs if job.memory > here.memory]:
            notes.append(f"{_rules(many)}: {here.memory} MB, all that a node of partition {here.name} has")
        if many := [job for job in jobs if job.minutes > here.minutes]:
            notes.append(f"{_rules(many)}: {here.minutes} minutes, the limit of partition {here.name}")
        most.append(here)
    if not most:
        return {}, notes
    widest = _most(most)
    return {"mem_mb": widest.memory, "runtime": widest.minutes, "_cores": widest.threads}, notes


def _chosen(names: str, jobs: Sequence[Asked], known: Mapping[str, Partition]) -> Partition:
    wanted = [name for name in names.split(",") if name]
    for name in wanted:
        if name not in known:
            raise SynthoodError(
                f"Slurm: {_rules(jobs)} asked for partition {name!r}, which there is not{nearest(name, known)}; "
                f"set slurm_partition in the profile's default-resources"
            )
    # Without a default one, Slurm says itself that a partition is missing.
    defaults = [one for one in known.values() if one.is_default] or list(known.values())
    return _most([known[name] for name in wanted] or defaults)


def _most(found: Sequence[Partition]) -> Partition:
    return Partition(
        ",".join(dict.fromkeys(one.name for one in found)),
        any(one.is_default for one in found),
        max(one.threads for one in found),
        max(one.memory for one in found),
        max(one.gpus for one in found),
        max(one.minutes for one in found),
    )


def _rules(jobs: Iterable[Asked]) -> str:
    return ", ".join(sorted({job.rule for job in jobs}))


def _gpus(jobs: Iterable[Asked]) -> str:
    count = max(job.gpus for job in jobs)
    return f"{count} GPU{'s' * (count != 1)}"

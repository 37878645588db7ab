"""What this machine is, what it can do at most, and how much of it others take meanwhile."""

import functools
import math
import os
import platform
import re
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

PACKAGES = ["torch", "numpy", "scipy", "scikit-learn", "pillow", "diffusers", "pytorch-pretrained-biggan", "snakemake"]
PEERS = ["pytorch-ood", "faiss-cpu", "torch-fidelity", "torchmetrics"]
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
SIDE, BYTES, TRIES = 2048, 2**28, 20
"""Of the matrices and the copies that rates are measured on."""


def described() -> dict[str, str]:
    """Processor, cores, memory, and versions of what is measured."""
    file = Path("/proc/cpuinfo")
    text = file.read_text() if file.is_file() else ""
    model = re.search(r"model name\s*: (.+)", text)
    has = set(text.split())
    installed = {one.name.lower().replace("_", "-"): one.version for one in metadata.distributions()}
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "instructions": " ".join(flag for flag in FLAGS if flag in has),
        "cores": f"{os.cpu_count()}, {torch.get_num_threads()} threads",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {installed.get(name, 'missing')}" for name in PACKAGES + PEERS),
    }


def processor() -> tuple[float, float]:
    """Seconds that all cores were busy or withheld by a host, and those of this process and its descendants (Linux)."""
    if not Path("/proc/stat").is_file():
        return math.nan, math.nan
    _, user, nice, system, _, _, *more = Path("/proc/stat").read_text().split()[:9]
    parents, spent = dict[int, int](), dict[int, int]()
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(file.parent.name)], spent[int(file.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    family = {os.getpid()}
    while new := {one for one, parent in parents.items() if parent in family} - family:
        family |= new
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(map(int, (user, nice, system, *more))) / ticks, sum(spent[one] for one in family) / ticks


@functools.cache
def matmul_rate(dtype: torch.dtype = torch.float32) -> float:
    """Operations per second of a product of two large matrices, the best of several."""
    one, other = (torch.rand((SIDE, SIDE)).to(dtype) for _ in range(2))
    return 2 * SIDE**3 / best(lambda: one @ other)


@functools.cache
def copy_rate() -> float:
    """Bytes per second that are read and written, the best of several copies."""
    one, other = (torch.zeros(BYTES, dtype=torch.uint8) for _ in range(2))
    return 2 * BYTES / best(lambda: other.copy_(one))


def best(work: Callable[[], Any], tries: int = TRIES) -> float:
    """The least seconds of several runs."""
    found = []
    for _ in range(tries):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def operations(work: Callable[[], Any]) -> int:
    """Of the products and convolutions of torch in some work."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def limit(operations: float, moved: float = 0, dtype: torch.dtype = torch.float32) -> float:
    """Seconds below which so many operations of products, and so many bytes moved, are out of reach here."""
    return max(operations / matmul_rate(dtype), moved / copy_rate())

"""Which device and precision a job computes with."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from synthood.common.precision import Precision
from synthood.errors import SynthoodError


def resolved_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 where the processor has instructions for it; a timing could differ from run to run."""
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast | nullcontext[None]:
    """Mixed precision, or nothing for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


@contextmanager
def device_for(gpus: int, locks: Path | None = None) -> Iterator[torch.device]:
    """The CPU for `gpus` 0, else a GPU of this machine that no other job of ours holds."""
    if gpus == 0:
        yield torch.device("cpu")
        return
    count = torch.cuda.device_count()
    if count == 0:
        raise SynthoodError("a GPU was asked for but torch finds none; run with --resources gpu=0, or install a driver")
    lock = free_slot(count, locks or Path(tempfile.gettempdir()) / f"synthood-gpus-{os.getuid()}")
    try:
        yield torch.device("cuda", int(Path(lock.lock_file).stem))
    finally:
        lock.release()


def free_slot(count: int, folder: Path) -> FileLock:
    """A held lock on one of `count` slots; where all are held, waits for the first."""
    folder.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder / f"{slot}.lock") for slot in range(count)]
    for lock in locks:
        try:
            lock.acquire(timeout=0)
            return lock
        except Timeout:
            continue
    locks[0].acquire()
    return locks[0]

"""Which device and how many threads a job computes with."""

import ctypes
import gc
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from synthood.errors import SynthoodError

POLL_SECONDS = 0.2
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@contextmanager
def device_for(gpus: int, locks: Path | None = None) -> Iterator[torch.device]:
    """The CPU for `gpus` 0, else a GPU of this machine that no other job of ours holds, or no more than allowed.

    So many jobs may share a GPU as the environment's SYNTHOOD_JOBS_PER_GPU says, one where it says nothing.
    """
    if gpus == 0:
        yield torch.device("cpu")
        return
    count = torch.cuda.device_count()
    if count == 0:
        raise SynthoodError("a GPU was asked for but torch finds none; run with --resources gpu=0, or install a driver")
    lock = free_slot(count * jobs_per_gpu(), locks or Path(tempfile.gettempdir()) / f"synthood-gpus-{os.getuid()}")
    try:
        yield torch.device("cuda", int(Path(lock.lock_file).stem) % count)
    finally:
        lock.release()


def jobs_per_gpu() -> int:
    """How many jobs may share a GPU."""
    said = os.environ.get("SYNTHOOD_JOBS_PER_GPU", "1")
    if not said.isdecimal() or int(said) < 1:
        raise SynthoodError(f"SYNTHOOD_JOBS_PER_GPU={said}: not a number of jobs from 1 on; correct or unset it")
    return int(said)


def check_gpus(gpus: int) -> None:
    """Raises where a job asks for more GPUs than this machine has."""
    count = torch.cuda.device_count()
    if gpus > count:
        raise SynthoodError(
            f"{gpus} GPUs were asked for but torch finds {count or 'none'}; run with --resources gpu={count}"
        )


def free_slot(count: int, folder: Path) -> FileLock:
    """A held lock on one of `count` slots; where all are held, waits for whichever comes free."""
    folder.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder / f"{slot}.lock") for slot in range(count)]
    while True:
        for lock in locks:
            try:
                lock.acquire(timeout=0)
                return lock
            except Timeout:
                continue
        time.sleep(POLL_SECONDS)


def keep_freed_memory() -> None:
    """Lets glibc hand freed memory out again instead of giving it back to the system page by page at every step."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    mallopt(M_TRIM_THRESHOLD, 1 << 30)
    mallopt(M_MMAP_THRESHOLD, 1 << 25)


def set_threads(threads: int) -> None:
    """One job uses `threads` cores; waiting without spinning is up to OMP_WAIT_POLICY, set before the start."""
    torch.set_num_threads(threads)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU or the machine had no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in NO_MEMORY)


def free_memory() -> None:
    """Makes room after `out_of_memory`."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

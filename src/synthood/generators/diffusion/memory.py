"""Batches of a fixed size, halved where memory runs out."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from synthood.errors import SynthoodError

Made = TypeVar("Made")
TOLD_ON_CPU = ("can't allocate memory", "not enough memory")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory, on a GPU or a CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(told in str(error) for told in TOLD_ON_CPU)


def halving(what: str, size: int, work: Callable[[int], Made]) -> Made:
    """`work(size)`; begun anew with half the size where memory runs out, so that all is made in batches of one size.

    Raises SynthoodError where memory runs out at size 1.
    """
    while True:
        try:
            return work(size)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            if size == 1:
                raise SynthoodError(
                    f"{what}: out of memory even one image at a time; take a smaller `size`, `precision: bfloat16`, "
                    f"a smaller checkpoint, or a machine with more memory ({error})"
                ) from error
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        size //= 2
        print(f"{what}: out of memory; again with batches of {size}", flush=True)


def filled_batches(count: int, size: int) -> list[list[int]]:
    """Indices 0..count-1 in batches of exactly `size`, the last one filled up with the first indices again.

    The size of a batch shows in an image's last bits, so it must not depend on how many images there are.
    """
    indices = [index % count for index in range(-(-count // size) * size)]
    return [indices[first : first + size] for first in range(0, len(indices), size)]

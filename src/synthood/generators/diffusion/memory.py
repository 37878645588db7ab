"""Batches of a fixed size, halved where memory runs out."""

from collections.abc import Callable
from typing import TypeVar

from synthood.common.devices import free_memory, out_of_memory
from synthood.errors import SynthoodError

Made = TypeVar("Made")


def halving(what: str, size: int, work: Callable[[int], Made]) -> Made:
    """`work(size)`; begun anew with half the size where memory runs out, so that all is made in batches of one size.

    Raises SynthoodError where memory runs out at size 1.
    """
    while True:
        try:
            return work(size)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if size == 1:
                raise SynthoodError(
                    f"{what}: out of memory even one image at a time; take a smaller `size`, `precision: bfloat16`, "
                    f"a smaller checkpoint, or a machine with more memory ({error})"
                ) from error
        free_memory()
        size //= 2
        print(f"{what}: out of memory; again with batches of {size}", flush=True)


def filled_batches(count: int, size: int) -> list[list[int]]:
    """Indices 0..count-1 in batches of exactly `size`, the last one filled up with the first indices again.

    The size of a batch shows in an image's last bits, so it must not depend on how many images there are.
    """
    indices = [index % count for index in range(-(-count // size) * size)]
    return [indices[first : first + size] for first in range(0, len(indices), size)]

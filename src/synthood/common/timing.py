"""Time that parts of a job take, by name."""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

Seconds = MutableMapping[str, float]


@contextmanager
def timed(seconds: Seconds | None, *names: str) -> Iterator[None]:
    """Adds the time of the block, in seconds, to each name; nothing where `seconds` is None."""
    began = time.perf_counter()
    yield
    if seconds is not None:
        for name in names:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began

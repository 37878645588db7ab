"""Random numbers that depend on names alone: the same on every run, restart and job order."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from synthood.common.lazy import np, torch


def derived_seed(*parts: str | int) -> int:
    """A 63-bit seed from what it is for, e.g. `derived_seed(seed, "augmentation", step)`."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: str | int) -> "torch.Generator":
    """A CPU generator seeded by `derived_seed`."""
    import torch

    return torch.Generator().manual_seed(derived_seed(*parts))


def numpy_generator(random: "torch.Generator") -> "np.random.Generator":
    """NumPy's generator, which knows Beta and Dirichlet, seeded by torch's."""
    import numpy
    import torch

    return numpy.random.default_rng(int(torch.randint(2**62, (1,), generator=random)))


@contextmanager
def global_seed(device: "torch.device", *parts: str | int) -> Iterator[None]:
    """Seeds torch's global generators, from which layers such as dropout draw; puts their states back afterwards."""
    import torch

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        seed = derived_seed(*parts)
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield

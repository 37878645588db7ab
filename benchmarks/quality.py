"""FID, KID, precision and recall of features against torch-fidelity: python benchmarks/quality.py

5,000 synthetic and 5,000 real images in Inception's 2,048 features, random here. torch-fidelity's KID is given all
images as its one subset. Bar: FID, KID, precision and recall equal torch-fidelity's.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from bench import options, run
from compare import Measurement, figure, measured, optional
from machine import limit

from synthood.generators.quality.frechet import frechet_distance, kernel_distance
from synthood.generators.quality.manifolds import manifold_figures

SAME = 1e-3
"""Relative."""


def of_fidelity(kind: str, *features: np.ndarray) -> Callable[[], list[float]] | None:
    """torch-fidelity's figures of a kind, where it is installed."""
    module = optional(f"torch_fidelity.metric_{kind}")
    if module is None:
        return None
    made, real = map(torch.from_numpy, features)
    if kind == "fid":
        of = module.fid_features_to_statistics
        return lambda: list(module.fid_statistics_to_metric(of(made), of(real), False).values())
    every: dict[str, Any] = {"kid_subsets": 1, "kid_subset_size": len(made)} if kind == "kid" else {}
    work = getattr(module, f"{kind}_features_to_metric")
    return lambda: list(work(made, real, verbose=False, **every).values())


def rows(given: Namespace) -> Iterator[Measurement]:
    count, width = (1000, 512) if given.quick else (5000, 2048)
    turns, seconds = (5, 5.0) if given.quick else (9, 120.0)
    random = np.random.default_rng(0)
    real, made = (random.standard_normal((count, width), np.float32).clip(0) for _ in range(2))
    made[:, ::2] *= 1.1

    def manifolds() -> list[float]:
        found = manifold_figures(real, made)
        return [found["precision"], found["recall"]]

    product = 2 * count * count * width
    kinds: dict[str, tuple[str, Callable[[], list[float]], float]] = {
        "fid": ("FID", lambda: [frechet_distance(made, real)], 4 * count * width**2 + 6 * width**3),
        "kid": ("KID of all pairs", lambda: [kernel_distance(made, real)], 3 * product),
        "prc": ("precision and recall; ours with density and coverage", manifolds, 3 * product),
    }
    for kind, (what, ours, operations) in kinds.items():
        theirs = of_fidelity(kind, made, real)
        least = limit(operations, dtype=torch.float64)
        yield measured(f"{what} of {count} images", ours, "torch-fidelity", theirs, turns, seconds, limit=least)
        if theirs:
            apart = max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(ours(), theirs(), strict=False))
            yield figure(f"{what.partition(';')[0]}: difference", apart, SAME, "relative")


if __name__ == "__main__":
    sys.exit(run("quality", rows, options(__doc__).parse_args()))

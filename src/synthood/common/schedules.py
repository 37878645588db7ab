"""Learning rates over the steps of a training."""

import math


def warmed_cosine(
    step: int, total: int, warmup: int, first: float = 1.0, last: float = 0.0, restarts: int = 0
) -> float:
    """Linear rise to `first` over the warm-up steps, then cosines down to `last` (arXiv 1608.03983)."""
    if step < warmup:
        return first * (step + 1) / warmup
    progress = (step - warmup) * (restarts + 1) / max(total - warmup, 1) % 1
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * progress))

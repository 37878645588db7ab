"""Distances to the k-th nearest, and the candidates farthest by them."""

from __future__ import annotations

from typing import Literal

from synthood.common.lazy import Tensor, torch

WORKING_SET = 1 << 24
"""Distances held at once, in numbers."""
Selection = Literal["knn", "random", "released"]


def kth_distance(queries: Tensor, bank: Tensor, k: int) -> Tensor:
    """Exact Euclidean distance [Q] of queries [Q,D] to their k-th nearest in the bank [N,D], in chunks."""
    chunk = max(1, WORKING_SET // len(bank))
    parts = [torch.cdist(part, bank).topk(k, largest=False).values[:, -1] for part in queries.split(chunk)]
    return torch.cat(parts)


def chosen(distances: Tensor, kept: int, selection: Selection, random: torch.Generator) -> Tensor:
    """Which candidates of each point are kept, int64 [P,kept], from their distances [P,M]."""
    points, candidates = distances.shape
    if selection == "random":
        return torch.rand(distances.shape, generator=random).topk(kept, dim=1).indices
    if selection == "released":
        # The papers' code lays the distances out as [M,P] before choosing, so it compares candidates of all points.
        return distances.reshape(candidates, points).topk(kept, dim=0).indices.T.contiguous()
    return distances.topk(kept, dim=1).indices

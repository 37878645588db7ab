"""A second classifier of embeddings: a linear layer fitted to labels, which knows no class words."""

import torch
import torch.nn.functional as F
from torch import Tensor

DECAY = 1e-4
"""Of the squared weights, so that there is one optimum."""
SCALE = 10.0
"""Embeddings of this length, as logits of unit ones would need large weights."""
ITERATIONS = 200


def with_one(points: Tensor) -> Tensor:
    """Points [N,D] in float64, at their scale, with a column of ones: [N,D+1]."""
    return torch.cat([SCALE * points.double(), torch.ones(len(points), 1, dtype=torch.float64)], 1)


def objective(weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of weights float64 [D+1,C] with weight decay; strictly convex."""
    return F.cross_entropy(inputs @ weights, labels) + DECAY * weights.square().sum()


def fitted(points: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The weights float64 [D+1,C] of least cross-entropy on points [N,D] with labels int64 [N], by L-BFGS from zero."""
    inputs = with_one(points)
    weights = torch.zeros(inputs.shape[1], classes, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=ITERATIONS, tolerance_grad=1e-7, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = objective(weights, inputs, labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach()


def halves(labels: Tensor) -> Tensor:
    """0 or 1 for each label of int64 [N]: every second one of a class is in the other half."""
    half = torch.zeros_like(labels)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        half[members] = torch.arange(len(members)) % 2
    return half


def probed(
    embeddings: Tensor, labels: Tensor, outliers: Tensor, parents: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """The class int64 [N] of ID embeddings [N,D], and [K] of outliers [K,D], by a probe that did not see them.

    Two probes are fitted, each on one half of every class; the other judges, of an outlier that of its parent.
    """
    half = halves(labels)
    own, made = torch.empty_like(labels), torch.empty_like(parents)
    for part in (0, 1):
        seen, judged, pushed = half != part, half == part, half[parents] == part
        weights = fitted(embeddings[seen], labels[seen], classes)
        own[judged] = (with_one(embeddings[judged]) @ weights).argmax(1)
        made[pushed] = (with_one(outliers[pushed]) @ weights).argmax(1)
    return own, made

"""CORE: the energy, and the direction of what the classifier makes nothing of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, torch
from synthood.evaluation.detectors.base import GRID, TINY, Detector, OutOfRangeError, State, class_means
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import by_pieces

CONSTANT = 2.0**-40
"""Deviation over the mean up to which a part of the score is constant."""


class Core(Detector):
    """Energy plus the cosine of the feature's residual and that of the predicted class, both standardised.

    (lse(l) - a) / s + (cos(r, r_c) - a') / s', r the part of h orthogonal to w_c, r_c that of the mean of training
    features rightly classified as the prediction c; a, s and a', s' mean and deviation of either on training features.

    Read in the abstract: two orthogonal parts, one of the classifier's weights and a residual with a direction for each
    class, scored apart and summed after normalisation. Read in a digest of the paper: the energy, cosines, z-scores,
    and a cost of O(D). Our reading, without the paper's formulas or code: the weights are those of the predicted class,
    since those of ImageNet's 1,000 classes leave no residual of a ViT's 768 features, which the paper has. With
    `aligned: head` r is orthogonal to the weights of all classes: what changes no logit.
    """

    kind: Literal["core"] = "core"
    aligned: Annotated[
        Literal["class", "head"],
        GRID,
        Field(description="class: the residual is orthogonal to the predicted class's weights; head: to all weights"),
    ] = "class"

    paper = "arXiv 2603.18290"
    inputs = ("logits", "features", "head")
    fitted_on = ("train",)
    labelled = True

    def state(self, reference: Reference) -> State:
        train, weight = reference.train, reference.weight.double()
        axes = F.normalize(weight) if self.aligned == "class" else spanned(weight)
        means = class_means(train.features, train.labels, train.logits.argmax(1), len(weight))
        directions = F.normalize(self.residual(means, torch.arange(len(means)), axes))
        state = {"axes": axes, "directions": directions}
        seen = by_pieces(lambda place, rows: self.parts(train.logits[place], rows, state), train.features)
        centre, deviation = seen.mean(0), seen.std(0, correction=0)
        varies = deviation > CONSTANT * centre.abs()
        return state | {"centre": centre, "scale": torch.where(varies, 1 / deviation.clamp(min=TINY), 0.0)}

    def confidence(self, x: Features, state: State) -> Tensor:
        standard = (self.parts(x.logits, x.features, state) - state["centre"]) * state["scale"]
        return standard.sum(1).float()

    def parts(self, logits: Tensor, features: Tensor, state: State) -> Tensor:
        """Energy and cosine, float64 [N,2]: cosines differ little where features have much in common."""
        predicted = logits.argmax(1)
        left = self.residual(features.double(), predicted, state["axes"])
        along = torch.linalg.vecdot(left, state["directions"][predicted])
        return torch.stack([logits.double().logsumexp(1), along / left.norm(dim=1).clamp(min=TINY)], 1)

    def residual(self, features: Tensor, predicted: Tensor, axes: Tensor) -> Tensor:
        """Features [N,D] without what lies along the axes [C,D] of their classes [N], or along all axes [R,D]."""
        if self.aligned == "head":
            return features - features @ axes.T @ axes
        own = axes[predicted]
        return features - torch.linalg.vecdot(features, own)[:, None] * own


def spanned(weight: Tensor) -> Tensor:
    """Orthonormal axes [R,D] of what weights [C,D] span; raises where that is all of the features' space."""
    _, values, axes = torch.linalg.svd(weight, full_matrices=False)
    rank = int((values > values[0] * max(weight.shape) * torch.finfo(weight.dtype).eps).sum())
    if rank == weight.shape[1]:
        raise OutOfRangeError(f"core: aligned head leaves no residual of {rank} features; set class")
    return axes[:rank]

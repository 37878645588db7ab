"""Logits as cosines of features and class weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Module, lazy
from synthood.common.settings import Positive
from synthood.training.networks.heads.base import Head

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn
else:
    torch, nn, F = lazy("torch"), lazy("torch.nn"), lazy("torch.nn.functional")


class CosineHead(Head):
    """Cosines of features and class weights, times a fixed scale."""

    paper = "arXiv 1804.09458, section 3.2"

    kind: Literal["cosine"] = "cosine"
    scale: Annotated[Positive, Field(description="of the cosines: s in s cos(h, w)")] = 16.0

    def neck(self, width: int) -> tuple[nn.Module, int]:
        return Direction(self.scale), width

    def after_step(self, layer: nn.Linear) -> None:
        """Weights of length one and no bias, so that the Linear gives the cosines."""
        with torch.no_grad():
            layer.weight.copy_(F.normalize(layer.weight))
            layer.bias.zero_()


class Direction(Module):
    """Features [N,D] at the length `scale`."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * F.normalize(features)

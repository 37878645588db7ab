"""Features standardised over their own coordinates before the last layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Module, lazy
from synthood.common.settings import Positive
from synthood.training.networks.heads.base import Head

if TYPE_CHECKING:
    from torch import Tensor, nn
else:
    nn = lazy("torch.nn")

SMALLEST = 1e-6


class StandardisedHead(Head):
    """Each image's features at mean zero and one standard deviation, in training and at inference."""

    paper = "ASCOOD, arXiv 2411.10794"

    kind: Literal["standardised"] = "standardised"
    scale: Annotated[Positive, Field(description="standard deviation of the features: sigma")] = 0.5

    def neck(self, width: int) -> tuple[nn.Module, int]:
        return Standardised(self.scale), width


class Standardised(Module):
    """scale (h - mean(h)) / sd(h) of features [N,D], each row by itself: of length scale sqrt(D - 1).

    The published code adds 1e-6 to the deviation; here it is below the root, so that constant features have a gradient.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        centred = features - features.mean(1, keepdim=True)
        variance = centred.square().sum(1, keepdim=True) / max(features.shape[1] - 1, 1)
        return self.scale * centred / (variance + SMALLEST**2).sqrt()

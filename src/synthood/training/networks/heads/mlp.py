"""A hidden layer before the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from synthood.common.lazy import lazy
from synthood.common.settings import Count
from synthood.training.networks.heads.base import Head

if TYPE_CHECKING:
    from torch import nn
else:
    nn = lazy("torch.nn")


class MlpHead(Head):
    """A hidden layer with ReLU, whose output detectors see as the features."""

    kind: Literal["mlp"] = "mlp"
    width: Annotated[Count, Field(description="of the hidden layer")] = 256

    @property
    def feature_count(self) -> int | None:
        return self.width

    def neck(self, width: int) -> tuple[nn.Module, int]:
        return nn.Sequential(nn.Linear(width, self.width), nn.ReLU()), self.width

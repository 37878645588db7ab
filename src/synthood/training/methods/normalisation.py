"""Logits or features of one length in training: LogitNorm and T2FNorm."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor
from synthood.common.settings import Positive
from synthood.training.methods.base import Method

SMALLEST = 1e-7


class Normalisation(Method):
    """What changes features or logits before cross-entropy."""

    key = "normalisation"
    meaning = "before cross-entropy"
    order = 7


class LogitNorm(Normalisation):
    """Cross-entropy of logits of one length."""

    paper = "arXiv 2205.09310"

    kind: Literal["logitnorm"] = "logitnorm"
    temperature: Annotated[Positive, Field(description="divides the logits of length 1")] = 0.04

    def adjusted_logits(self, logits: Tensor) -> Tensor:
        """z / (temperature |z|), eq. 5."""
        return logits / (logits.norm(dim=1, keepdim=True) + SMALLEST) / self.temperature


class T2FNorm(Normalisation):
    """Features of one length, in training alone."""

    paper = "arXiv 2305.17797"

    kind: Literal["t2fnorm"] = "t2fnorm"
    temperature: Annotated[Positive, Field(description="divides the features of length 1")] = 0.1

    def adjusted_features(self, features: Tensor) -> Tensor:
        """Of length 1 / temperature; detectors score features as they are."""
        import torch.nn.functional as F

        return F.normalize(features, eps=SMALLEST) / self.temperature

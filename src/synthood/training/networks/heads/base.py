"""The `head` key of a pretrained network: what turns the backbone's features into logits, by the classes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from synthood.common.lazy import lazy
from synthood.plugins import OneOf, Plugin

if TYPE_CHECKING:
    from torch import nn
else:
    nn = lazy("torch.nn")


class Head(Plugin):
    """A neck from the backbone's features [N,D] to the penultimate ones [N,E], and a Linear of these."""

    kind: str

    @property
    def plain(self) -> bool:
        """Whether it is one Linear of the backbone's features, as every network has it."""
        return False

    @property
    def feature_count(self) -> int | None:
        """The width E of the penultimate features, where the head alone decides it."""
        return None

    def neck(self, width: int) -> tuple[nn.Module, int]:
        """From features of width D, with the width E of what it gives."""
        return nn.Identity(), width

    def after_step(self, layer: nn.Linear) -> None:
        """Changes the last layer once it is drawn, and after each step; nothing unless overridden."""


class LinearHead(Head):
    """One Linear of the backbone's features; zero at first, unless the pretrained one has as many classes."""

    is_default = True

    kind: Literal["linear"] = "linear"

    @property
    def plain(self) -> bool:
        return True


AnyHead = Annotated[Head, OneOf("synthood.training.networks.heads")]

"""What all augmentations share: where a recipe names them, and what they do to images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer
from pydantic_core import CoreSchema

from synthood.common.lazy import Tensor, torch
from synthood.plugins import Plugin, without_kind

Change = Callable[["Tensor", "torch.Generator"], "Tensor"]
"""Images float32 [N,3,H,W] to images of the same kind, each by its own draw."""


class AugmentationStep(Plugin):
    """An augmentation: its fields are the keys below the key `key` of `augmentation`."""

    key: ClassVar[str]
    """The key of `augmentation`."""
    order: ClassVar[int] = 100
    """Augmentations act in this order, those of one number in that of their keys."""
    plain: ClassVar[bool] = False
    """Whether its fields are keys of `augmentation` itself, one of them `key`."""
    of_inputs: ClassVar[bool] = False
    """Whether it sees images after their normalisation, where 0 is the mean, instead of pixels in [0,1]."""

    kind: str

    @property
    def active(self) -> bool:
        """Whether it does anything; a plain one does where `key` is set."""
        return not self.plain or bool(getattr(self, self.key))

    def changed(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Images float32 [N,3,H,W], each changed by its own draw from the CPU generator."""
        raise NotImplementedError

    def prepared(self, height: int, width: int, seed: int, device: torch.device) -> Change:
        """`changed` for images of one size, with what it needs once, drawn from the run's seed."""
        return self.changed

    @model_serializer(mode="wrap")
    def _with_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key != "kind"}  # `key` says it

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return without_kind(super().__get_pydantic_json_schema__(schema, handler))

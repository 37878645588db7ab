"""The `augmentation` key: what happens to each training image, by the classes in this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import create_model

from synthood.common.lazy import Tensor, torch
from synthood.plugins import Plugin, WithPlainPlugins, plugins
from synthood.training.augmentation.base import AugmentationStep, Change

STEPS = sorted(
    plugins(AugmentationStep, "synthood.training.augmentation").values(), key=lambda step: (step.order, step.key)
)
"""All augmentations in the order in which they act."""


class Named(WithPlainPlugins):
    """Settings that name augmentations."""

    @property
    def steps(self) -> list[AugmentationStep]:
        """The augmentations that are named and do something, in the order in which they act."""
        return [one for step in STEPS if (one := self._step(step)) is not None and one.active]

    def _step(self, step: type[AugmentationStep]) -> AugmentationStep | None:
        if step.plain:
            return step(**{key: getattr(self, key) for key in keys_of(step)})
        found: AugmentationStep | None = getattr(self, step.key)
        return found

    def plain_plugins(self) -> dict[str, Plugin]:
        return {step.key: step for step in self.steps if step.plain}

    def prepared(
        self, normalised: Callable[[Tensor], Tensor], height: int, width: int, seed: int, device: torch.device
    ) -> Change:
        """Images uint8 [N,H,W,3] augmented and, by `normalised`, made inputs of a network, float32 [N,3,H,W].

        Steps on pixels come first and are given them in [0,1]; `normalised` takes uint8, or float32 from 0 to 255.
        """
        on_pixels = [step.prepared(height, width, seed, device) for step in self.steps if not step.of_inputs]
        on_inputs = [step.prepared(height, width, seed, device) for step in self.steps if step.of_inputs]

        def inputs(images: Tensor, random: torch.Generator) -> Tensor:
            if on_pixels:
                pixels = images.permute(0, 3, 1, 2).float() / 255
                for change in on_pixels:
                    pixels = change(pixels, random)
                images = pixels.permute(0, 2, 3, 1) * 255
            found = normalised(images)
            for change in on_inputs:
                found = change(found, random)
            return found

        return inputs


def keys_of(step: type[AugmentationStep]) -> dict[str, Any]:
    """The keys that a step adds to `augmentation`, with their types and defaults."""
    if step.plain:
        return {name: (field.annotation, field) for name, field in step.model_fields.items() if name != "kind"}
    return {step.key: (step | None, None)}


if TYPE_CHECKING:

    class Augmentation(Named):
        """What happens to each training image."""

        def __init__(self, **keys: Any) -> None: ...
        def __getattr__(self, key: str) -> Any: ...
else:
    fields = {key: field for step in STEPS for key, field in keys_of(step).items()}
    Augmentation = create_model(
        "Augmentation",
        __base__=Named,
        __doc__="What happens to each training image, real or synthetic: first to its pixels, then shift, flip and "
        "Cutout.",
        **fields,
    )

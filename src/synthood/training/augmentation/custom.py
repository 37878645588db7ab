"""An augmentation that a user wrote: a function or class in a Python file of theirs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.user_code import UserCode, call
from synthood.errors import SynthoodError
from synthood.training.augmentation.base import AugmentationStep, Change

IMAGES = 4
"""Images of a dry run."""
ROUNDING = 1e-4
"""What pixels may exceed [0,1] by."""


class CustomAugmentation(UserCode, AugmentationStep):
    """Yours: `function(images, random, **values)`, or `Class(**values)` called so, gives changed images."""

    key = "custom"
    order = 40

    kind: Literal["custom"] = "custom"
    pixels: Annotated[
        Literal["float32", "uint8"], Field(description="what it takes and gives: [0,1] in float32, or bytes")
    ] = "float32"

    def prepared(self, height: int, width: int, seed: int, device: torch.device) -> Change:
        return Checked(self)

    def dry_run(self, side: int = 32) -> None:
        random = torch.Generator().manual_seed(0)
        Checked(self)(torch.rand((IMAGES, 3, side, side), generator=random), random)


class Checked:
    """The user's function, whose result is checked: at each step what it gives, at the first one all else."""

    def __init__(self, settings: CustomAugmentation) -> None:
        self.settings, self.where, self.first = settings, settings.where, True
        self.function, self.values = settings.loaded(), dict(settings.values)
        if settings.class_:
            self.function, self.values = call(self.where, self.function, **self.values), {}
        if not callable(self.function):
            raise SynthoodError(f"{self.where}: its objects must be callable: __call__(self, images, random)")

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        given = (images * 255).round().to(torch.uint8) if self.settings.pixels == "uint8" else images
        if self.first:
            self._check_first(given, random)
        found = self._changed(given, random)
        return found.float() / 255 if found.dtype == torch.uint8 else found

    def _check_first(self, images: Tensor, random: torch.Generator) -> None:
        """Raises where it changes its input or is not repeatable; draws nothing from the generator."""
        before, again = images.clone(), [torch.Generator() for _ in range(2)]
        for each in again:
            each.set_state(random.get_state())
        first, second = (self._changed(images, each) for each in again)
        if not torch.equal(images, before):
            raise SynthoodError(f"{self.where}: changes its input, which others see; work on a copy")
        if not torch.equal(first, second):
            raise SynthoodError(
                f"{self.where}: differs between two calls with one state of the generator; draw from `random` alone"
            )
        self.first = False

    def _changed(self, images: Tensor, random: torch.Generator) -> Tensor:
        found: Any = call(self.where, self.function, images, random, **self.values)
        if not isinstance(found, torch.Tensor):
            raise SynthoodError(f"{self.where}: must give a tensor, got {type(found).__name__}")
        if (found.shape, found.dtype, found.device) != (images.shape, images.dtype, images.device):
            ours, theirs = (
                f"{str(one.dtype).removeprefix('torch.')} {list(one.shape)} on {one.device}" for one in (images, found)
            )
            raise SynthoodError(f"{self.where}: must give images {ours}, got {theirs}")
        if found.is_floating_point() and not bool(((found > -ROUNDING) & (found < 1 + ROUNDING)).all()):
            low, high = found.aminmax()
            raise SynthoodError(
                f"{self.where}: must give pixels in [0,1], got {float(low):g} to {float(high):g}; clamp them"
            )
        return found

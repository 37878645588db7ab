"""Numbers that are not finite are refused before they become weights, latents or pixels."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from synthood.errors import SynthoodError

Named = Callable[[int], str]
"""What an error calls image i."""


def numbered(index: int) -> str:
    """The name of an image of which no more is known."""
    return f"image {index}"


def after(first: int, named: Named) -> Named:
    """The names of a part that begins with image `first`."""
    return lambda index: named(first + index)


def finite_rows(values: Tensor) -> Tensor:
    """Which rows of values [N,...] hold finite numbers alone, bool [N]; nothing waits for the device."""
    return values.isfinite().flatten(1).all(1)


def check_rows(values: Tensor, named: Named, what: str, remedy: str) -> None:
    """Raises SynthoodError at the first row of values [N,...] with a number that is not finite, and names its image."""
    good = finite_rows(values)
    if not good.all():
        raise SynthoodError(f"{named(int((~good).nonzero()[0]))}: {what} are not finite; {remedy}")


def check_state(state: Mapping[str, Tensor], where: str, remedy: str) -> None:
    """Raises SynthoodError at the first weight that is not finite."""
    for key, value in state.items():
        # Both ends are not numbers where one value is not; one pass, and no second copy of a large network.
        if value.is_floating_point() and value.numel() and not torch.stack(value.aminmax()).isfinite().all():
            raise SynthoodError(f"{where}: {key} is not finite; {remedy}")


def to_uint8(levels: Tensor, named: Named = numbered, remedy: str = "the network that made them is broken") -> Tensor:
    """Grey levels float [N,...] rounded and cut to 0..255; SynthoodError where one is not finite, which would be black.

    One check serves the batch, so that a GPU is waited for once.
    """
    check_rows(levels, named, "decoded pixels", remedy)
    return levels.round().clamp(0, 255).to(torch.uint8)

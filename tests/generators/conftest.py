"""Tiny networks and sets that the tests of generators share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from synthood.common.iterate import ResumeFile
from synthood.generators.diffusion.settings import StableDiffusionFit


class Interrupted(ResumeFile):
    """Saves after every step, and breaks off once `last` steps of `name` are saved."""

    def __init__(self, path: Path, name: str, last: int) -> None:
        super().__init__(path, "job", save_seconds=0)
        self.name, self.last = name, last

    def save(self, name: str, state: dict[str, Any]) -> None:
        super().save(name, state)
        if (name, state["step"]) == (self.name, self.last):
            raise KeyboardInterrupt


@pytest.fixture(scope="session")
def interrupted() -> Callable[[Path, str, int], ResumeFile]:
    return Interrupted


@pytest.fixture(scope="session")
def pictures() -> Callable[[int, int], Tensor]:
    """Images float32 [N,3,side,side] in [-1,1]: a bright square in a corner that goes round with the index."""

    def make(count: int, side: int) -> Tensor:
        images = 0.2 * torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(0)) - 0.9
        half = side // 2
        for index, image in enumerate(images):
            row, column = divmod(index % 4, 2)
            image[:, row * half : (row + 1) * half, column * half : (column + 1) * half] += 1.5
        return images

    return make


@pytest.fixture(scope="session")
def diffusion_settings() -> StableDiffusionFit:
    return StableDiffusionFit(
        autoencoder_steps=3,
        denoiser_steps=3,
        batch_size=4,
        autoencoder_channels=[8, 8],
        denoiser_channels=[8, 16],
        text_width=16,
    )

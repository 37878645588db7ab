"""What all generators share in being sampled, and the settings of a job that samples a block."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthood.common import images, seeds
from synthood.common.lazy import np, torch
from synthood.generators.folder import Description
from synthood.plugins import Plugin


@dataclass(frozen=True)
class Block:
    """Images `first` to `first + size` of the generator in `folder`, of which `count` are written."""

    folder: Path
    description: Description
    first: int
    size: int
    count: int
    device: torch.device


@dataclass(frozen=True)
class Draw:
    """Images to draw: number i is of class `labels[i]` and follows from `seeds[i]` alone, whatever else is drawn."""

    folder: Path
    description: Description
    labels: list[int]
    seeds: list[int]
    first: int
    device: torch.device

    def name(self, number: int) -> str:
        """An image in messages."""
        word = self.description.classes[self.labels[number]]
        return f"image {self.first + number} (class {word!r}, seed {self.seeds[number]})"


class Sampling(Plugin):
    """What `synthesise` needs of a generator: the settings that its images depend on, and how they are drawn."""

    kind: Any  # of each generator its one name, which mypy lets no `str` be narrowed to by two bases

    @property
    def sampling_seed(self) -> int:
        """What the seeds of the images are derived from."""
        return 0

    def draw(self, wanted: Draw) -> np.ndarray:
        """Images uint8 [N,H,W,3], one for each seed."""
        raise NotImplementedError

    def synthesise(self, block: Block) -> images.ImageSet:
        """A block of images, image i of class i mod C; a cut block is drawn whole, so it does not depend on the cut."""
        indices = range(block.first, block.first + block.size)
        labels = [index % len(block.description.classes) for index in indices]
        numbers = [seeds.derived_seed(self.sampling_seed, "image", index) for index in indices]
        drawn = self.draw(Draw(block.folder, block.description, labels, numbers, block.first, block.device))
        kept = slice(block.count)
        columns = {"seed": np.array(numbers[kept], np.int64)}
        return images.ImageSet(drawn[kept], np.array(labels[kept], np.int64), block.description.classes, columns)

"""Synthetic images that are there already, as a generator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.common.images import ImageSet
from synthood.common.settings import Seed
from synthood.data.files.settings import Words
from synthood.data.sources.base import PACKAGE, LabelledSet
from synthood.generators.kinds.base import ImageGenerator, Outside
from synthood.generators.kinds.fitting import FitTask, Fitting
from synthood.generators.kinds.sampling import Block, Sampling
from synthood.plugins import OneOf


class ReadyMadeReading(Fitting):
    """What `fit_generator` needs of a ready-made set: where it lies, and what its labels mean."""

    kind: Literal["ready-made"] = "ready-made"
    source: Annotated[LabelledSet, OneOf(PACKAGE), Field(description="labelled images of the ID classes")]
    classes: Annotated[
        Words | None, Field(description="of labels 0, 1, ... of arrays; default: as stored, else the ID classes' order")
    ] = None
    seed: Annotated[Seed, Field(description="of the order in which a class's images are taken")] = 0

    @property
    def learns(self) -> bool:
        """It takes the classes and the size of the training images alone."""
        return False

    def fit_generator(self, task: FitTask) -> dict[str, Any]:
        from synthood.generators import ready_made

        found = ready_made.read(self.source, self.classes, task.size[0], task.threads)
        return {"per_class": ready_made.adopt(found, self.seed, task.classes, task.folder)}


class ReadyMadeSampling(Sampling):
    """What `synthesise` needs of a ready-made set."""

    kind: Literal["ready-made"] = "ready-made"

    def synthesise(self, block: Block) -> ImageSet:
        from synthood.generators.ready_made import cut

        return cut(block.folder, block.description, block.first, block.count)


class ReadyMade(ReadyMadeReading, ReadyMadeSampling, ImageGenerator):
    """Synthetic images made elsewhere, such as SIO's released arrays, resized to the ID images' side."""

    def outside(self) -> Iterator[Outside]:
        from synthood.data import raw

        for path in raw.raw_paths(self._read()):
            yield Outside("source", path, self.source, "ready-made")

    def state(self, folder: Path) -> str:
        from synthood.data import raw

        return raw.state(self._read(), folder)

    def _read(self) -> Any:
        from synthood.data.part_settings import PartSettings

        return PartSettings(part="ready-made", source=self.source)

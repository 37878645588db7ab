"""Settings of sets of synthetic images that are there already."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import Seed, Settings
from synthood.data.files.settings import Words
from synthood.data.sources.base import PACKAGE, LabelledSet
from synthood.generators.every_kind import EveryKind
from synthood.plugins import OneOf


class ReadyMadeReading(Settings):
    """What `fit_generator` needs of a ready-made set: where it lies, and what its labels mean."""

    kind: Literal["ready-made"]
    source: Annotated[LabelledSet, OneOf(PACKAGE), Field(description="labelled images of the ID classes")]
    classes: Annotated[
        Words | None, Field(description="of labels 0, 1, ... of arrays; default: as stored, else the ID classes' order")
    ] = None
    seed: Annotated[Seed, Field(description="of the order in which a class's images are taken")] = 0

    @property
    def learns(self) -> bool:
        """It takes the classes and the size of the training images alone."""
        return False


class ReadyMadeSampling(Settings):
    """What `synthesise` needs of a ready-made set."""

    kind: Literal["ready-made"]


class ReadyMade(ReadyMadeReading, EveryKind):
    """Synthetic images made elsewhere, such as SIO's released arrays, resized to the ID images' side."""

"""What is asked of every generator, whatever its kind, and what planning asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, model_validator

from synthood.common.settings import Count
from synthood.data.sources.base import Source
from synthood.generators.filter_settings import Filter
from synthood.generators.kinds import PACKAGE
from synthood.generators.kinds.fitting import Fitting
from synthood.generators.kinds.sampling import Sampling
from synthood.plugins import OneOf, Plugin

Part = TypeVar("Part", bound=Plugin)


@dataclass(frozen=True)
class Outside:
    """A file or folder that a generator is taken from, and the key below the generator's that names it."""

    key: str
    path: Path
    source: Source | None = None
    """Of image data: what may be public."""
    part: str = ""


class ImageGenerator(Fitting, Sampling):
    """How many images, in which blocks, kept by which filter, and what their maker has seen.

    Block k holds images k * block_size and on. A generator is a class of this base, its `Fitting` and its `Sampling`:
    an edit of the former's keys or code fits it again, of the latter's draws its images again.
    """

    of_parts = True

    images_per_class: Annotated[Count, Field(description="synthetic images of each class")]
    block_size: Annotated[int, Field(ge=1, description="images in one job and file")]

    filter: Annotated[Filter | None, Field(description="of the images made; default: all are taken")] = None
    prior: Annotated[
        str | None, Field(min_length=1, description="what has seen more than the ID images, said under tables")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _no_variant(cls, given: Any) -> Any:
        if isinstance(given, dict) and "variant" in given:
            raise ValueError("`variant` no longer exists; remove it, and where it was `paper` write `filter: null`")
        return given

    @model_validator(mode="after")
    def _enough_attempts(self) -> ImageGenerator:
        if self.filter is not None and self.filter.attempts_per_class < self.images_per_class:
            raise ValueError(
                f"filter.attempts_per_class {self.filter.attempts_per_class} is below images_per_class "
                f"{self.images_per_class}; at least as many must be made as are kept"
            )
        return self

    @property
    def attempts_per_class(self) -> int:
        """Images made of each class."""
        return self.images_per_class if self.filter is None else self.filter.attempts_per_class

    def block_counts(self, classes: int) -> list[int]:
        """The images of each block; only the last may be cut."""
        total = classes * self.attempts_per_class
        return [min(self.block_size, total - first) for first in range(0, total, self.block_size)]

    @property
    def seen(self) -> str | None:
        """What has seen more than the ID images, as the configuration says or the generator knows."""
        return self.prior

    @property
    def learned_also(self) -> list[str]:
        """Extra sets that it learns from besides the ID images."""
        return []

    @property
    def watched_by(self) -> tuple[str, int] | None:
        """The recipe, and its seed, of the classifier that a fit is watched with."""
        return None

    def outside(self) -> Iterator[Outside]:
        """Files and folders that it is taken from; nothing where they may be downloaded."""
        yield from ()

    def state(self, folder: Path) -> str:
        """A digest that changes with the files that the generator in `folder` is taken from; empty without any."""
        return ""

    def part(self, base: type[Part]) -> Part:
        """Its settings, and its code, of `Fitting` or `Sampling` alone."""
        cls = next(one for one in type(self).__mro__ if issubclass(one, base) and not one.of_parts)
        fields = cls.model_fields.items()
        return cls.model_validate({field.alias or name: getattr(self, name) for name, field in fields})


AnyGenerator = Annotated[ImageGenerator, OneOf(PACKAGE)]


def state_of_folders(places: list[Path], folder: Path) -> str:
    """A digest of all files in these folders; where one is gone, what the provenance of `folder` recorded."""
    from synthood.data import raw

    gone = [place for place in places if not place.exists()]
    return "-".join(raw.state_of_folder(place, folder) for place in gone[:1] or places)

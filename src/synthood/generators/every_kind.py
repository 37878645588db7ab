"""What is asked of every generator, whatever its kind."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common.settings import Count, Settings
from synthood.generators.filter_settings import Filter


class EveryKind(Settings):
    """How many images, in which blocks, kept by which filter, and what their maker has seen.

    Block k holds images k * block_size and on.
    """

    images_per_class: Annotated[Count, Field(description="synthetic images of each class")]
    block_size: Annotated[int, Field(ge=1, description="images in one job and file")]

    filter: Annotated[Filter | None, Field(description="of the images made; default: all are taken")] = None
    variant: Annotated[
        Literal["default", "paper"], Field(description="paper: as published, without a filter whatever `filter` says")
    ] = "default"

    prior: Annotated[
        str | None, Field(min_length=1, description="what has seen more than the ID images, said under tables")
    ] = None

    @model_validator(mode="after")
    def _enough_attempts(self) -> "EveryKind":
        if self.filter is not None and self.filter.attempts_per_class < self.images_per_class:
            raise ValueError(
                f"filter.attempts_per_class {self.filter.attempts_per_class} is below images_per_class "
                f"{self.images_per_class}; at least as many must be made as are kept"
            )
        return self

    @property
    def filtering(self) -> Filter | None:
        """The filter that is in force."""
        return None if self.variant == "paper" else self.filter

    @property
    def attempts_per_class(self) -> int:
        """Images made of each class."""
        return self.images_per_class if self.filtering is None else self.filtering.attempts_per_class

    def block_counts(self, classes: int) -> list[int]:
        """The images of each block; only the last may be cut."""
        total = classes * self.attempts_per_class
        return [min(self.block_size, total - first) for first in range(0, total, self.block_size)]

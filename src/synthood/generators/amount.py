"""How many images a generator makes, and in which blocks."""

from typing import Annotated

from pydantic import Field

from synthood.common.settings import Count, Settings


class Amount(Settings):
    """How many images a generator makes; block k holds images k * block_size and on."""

    images_per_class: Count
    block_size: Annotated[int, Field(ge=1, description="images in one job and file")]

    def block_counts(self, classes: int) -> list[int]:
        """The images kept of each block; only the last may be cut."""
        total = classes * self.images_per_class
        return [min(self.block_size, total - first) for first in range(0, total, self.block_size)]

"""Validation images in disorder."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from synthood.common.images import ImageSet
from synthood.common.lazy import lazy, np
from synthood.common.seeds import derived_seed
from synthood.common.settings import Count, Seed
from synthood.data.claims import Claim
from synthood.data.selection import Selection
from synthood.data.sources.base import IdSource, SetSource
from synthood.errors import SynthoodError

if TYPE_CHECKING:
    from synthood.data import calibration_part
else:
    calibration_part = lazy("synthood.data.calibration_part")


class ShuffledQuadrants(SetSource):
    """Digits of the ID validation images with their four quadrants permuted: OOD without new content."""

    computed = True
    of_validation = True

    kind: Literal["shuffled-quadrants"] = "shuffled-quadrants"
    images: Annotated[Count, Field(description="how many")]
    seed: Seed = 0

    @property
    def nature(self) -> str:
        return "computed from ID images"

    def claims(self, part: str) -> list[Claim]:
        return [Claim(f"{self.kind} of seed {self.seed}")]

    def of_dataset(self, id_source: IdSource, taught: IdSource) -> dict[str, Any]:
        return {"source": self, "validation": taught}

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        if not isinstance(part.validation, IdSource):
            raise SynthoodError(f"part {part.part}: {self.kind} are made of ID images, but the job names none")
        validation = part.validation.read(Selection(part="val"), threads)
        if part.calibration is not None:
            kept = Selection(part="val", calibration=part.calibration)
            validation = calibration_part.divided(validation, kept, getattr(part.validation, "seed", 0))
        return self.shuffled(validation)

    def shuffled(self, validation: ImageSet) -> ImageSet:
        """Validation images with their quadrants in one of the 23 other orders.

        Of an odd side the middle row or column stays where it is.
        """
        draw = np.random.default_rng(derived_seed(self.seed, "quadrants"))
        images = validation.images[np.arange(self.images) % len(validation)]
        count, height, width = images.shape[:3]
        tops, lefts = (slice(height // 2), slice(-(height // 2), None)), (slice(width // 2), slice(-(width // 2), None))
        places = list(itertools.product(tops, lefts))
        quadrants = np.stack([images[:, top, left] for top, left in places], axis=1)
        orders = np.array(list(itertools.permutations(range(4)))[1:])
        order = orders[draw.integers(len(orders), size=count)]
        for position, (top, left) in enumerate(places):
            images[:, top, left] = quadrants[np.arange(count), order[:, position]]
        return validation.out_of_distribution(images, validation.facts)

"""Outliers that a function of the user's makes of ID images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from synthood.common.lazy import np
from synthood.common.seeds import derived_seed
from synthood.common.settings import JobSettings, Seed
from synthood.common.user_code import call, load
from synthood.errors import SynthoodError
from synthood.outliers.kinds.base import OutlierKind

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CustomOutliers(OutlierKind):
    """A function of yours: `function(images, labels, random, **values)` makes images for `exposure` of ID images."""

    kind: Literal["custom"] = "custom"
    file: Annotated[str, Field(pattern=r"\.py$", description="a Python file, relative to where snakemake runs")]
    function: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", description="the function in it")] = "outliers"
    values: Annotated[
        dict[str, bool | int | float | str], Field(description="further keyword arguments of the function")
    ] = {}
    seed: Seed = 0

    def files(self) -> list[str]:
        return [self.file]

    def made_of(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Outliers uint8 [M,H,W,3] of ID training images [N,H,W,3] with labels [N], which are read-only.

        Raises SynthoodError where they are no such images, or ID images all.
        """
        where = f"{self.file}: {self.function}"
        seen = images.view(), labels.view()
        for array in seen:
            array.flags.writeable = False
        random = np.random.default_rng(derived_seed("custom outliers", self.seed))
        found = call(where, load(self.file, self.function), *seen, random, **self.values)
        shape = (len(found), *images.shape[1:]) if isinstance(found, np.ndarray) and found.ndim else None
        if shape is None or found.dtype != np.uint8 or found.shape != shape or not len(found):
            given = f"{found.dtype} {list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__
            wanted = ",".join(map(str, images.shape[1:]))
            raise SynthoodError(f"{where}: must give uint8 images [M,{wanted}] with M >= 1, got {given}")
        if copies(found, images).all():
            raise SynthoodError(f"{where}: all {len(found)} outliers are ID training images, pixel by pixel")
        return np.ascontiguousarray(found)

    def dry_run(self, side: int = 32) -> None:
        """Makes outliers of made-up images twice; raises SynthoodError with file and line."""
        random = np.random.default_rng(0)
        images, labels = random.integers(0, 256, (24, 32, 32, 3), np.uint8), np.arange(24) % 3
        if not np.array_equal(self.made_of(images, labels), self.made_of(images, labels)):
            raise SynthoodError(
                f"{self.file}: {self.function}: gives other outliers of the same images; draw random numbers from "
                f"`random` alone"
            )


class CustomOutliersSettings(JobSettings):
    """One job of `custom_outliers`."""

    outliers: CustomOutliers


def copies(images: NDArray[np.uint8], of: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each image [M,...] is, byte by byte, one of the others [N,...]."""
    known = {image.tobytes() for image in of}
    return np.array([image.tobytes() in known for image in images])

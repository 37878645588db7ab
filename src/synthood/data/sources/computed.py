"""Far OOD sets that need no download: photo patches, textures, noise; as large as the ID images."""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.common.images import ImageSet
from synthood.common.lazy import np
from synthood.common.seeds import derived_seed
from synthood.common.settings import Count, Seed
from synthood.data.claims import Claim
from synthood.data.selection import Selection
from synthood.data.sources.base import IdSource, SetSource
from synthood.errors import SynthoodError

SIDE = 32
"""Pixels a side where no ID images say otherwise, and at which textures are defined."""
AT_ONCE = 1 << 22
"""Pixels of textures that are computed together."""


class Computed(SetSource):
    """Images that are made here, of the ID images' size."""

    computed = True

    kind: str
    images: Annotated[Count, Field(description="how many")]
    seed: Seed = 0
    size: Annotated[int | None, Field(ge=8, le=1024, description="side in pixels; default: as the ID images")] = None

    @property
    def nature(self) -> str:
        return "computed"

    def claims(self, part: str) -> list[Claim]:
        return [Claim(f"{self.kind} of seed {self.seed}")]

    def of_dataset(self, id_source: IdSource, taught: IdSource) -> dict[str, Any]:
        if self.size is None and id_source.side is None:
            return {"source": self, "validation": id_source}
        return {"source": self.model_copy(update={"size": self.size or id_source.side})}

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        if self.size is not None or not isinstance(part.validation, IdSource):
            return self.drawn(self.size or SIDE)
        height, width = part.validation.shape()
        if height != width:
            raise SynthoodError(
                f"part {part.part}: {self.kind} are square, but the ID images have {width}x{height} px; set `size` "
                f"of the ID images"
            )
        return self.drawn(height)

    def drawn(self, side: int) -> ImageSet:
        """The images, so large."""
        raise NotImplementedError


class PhotoPatches(Computed):
    """Patches of scikit-learn's two photographs of 640x427 px (a temple, a flower), as large as the ID images.

    They are cut out of the photographs in turn, at random places and as they are, so larger patches show more of the
    scene, and are never resized.
    """

    kind: Literal["photo-patches"] = "photo-patches"

    @property
    def nature(self) -> str:
        return "real: patches of two photographs"

    def drawn(self, side: int) -> ImageSet:
        from sklearn.datasets import load_sample_images

        photos = load_sample_images().images
        height, width = photos[0].shape[:2]
        if side > min(height, width):
            raise SynthoodError(
                f"photo-patches: {side} px are more than the photographs have ({width}x{height}); take images of your "
                f"own"
            )
        draw = np.random.default_rng(derived_seed(self.seed, "photo-patches"))
        patches = np.empty((self.images, side, side, 3), np.uint8)
        for index in range(self.images):
            photo = photos[index % len(photos)]
            top, left = (int(draw.integers(size - side + 1)) for size in photo.shape[:2])
            patches[index] = photo[top : top + side, left : left + side]
        found = image_set(patches, "JPEG")
        room = len(photos) * (height // side) * (width // side)
        if self.images > room:
            found.notes.append(
                f"{self.images} patches of {side} px overlap: the photographs have room for {room} apart"
            )
        return found


class Textures(Computed):
    """Gratings, checkerboards and filtered noise, in colour.

    In turn, the noise filtered to 1/f; each between two random colours. At every size they have as many periods; a
    period is 3 to 12 px at 32 px.
    """

    kind: Literal["textures"] = "textures"

    def drawn(self, side: int) -> ImageSet:
        draw = np.random.default_rng(derived_seed(self.seed, "textures"))
        count = self.images
        angle, period, phase = (draw.uniform(low, high, (count, 1, 1)) for low, high in ((0, np.pi), (3, 12), (0, 20)))
        step = max(1, AT_ONCE // side**2)
        parts = [slice(start, min(start + step, count)) for start in range(0, count, step)]
        # The colours are drawn after the noise of all images, which need not be in memory together.
        later = copy.deepcopy(draw)
        for part in parts:
            later.standard_normal((part.stop - part.start, side, side))
        colours = later.uniform(0, 255, (2, count, 1, 1, 3))
        centres = (np.arange(side) + 0.5) * (SIDE / side) - 0.5
        y, x = np.meshgrid(centres, centres, indexing="ij")
        frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
        frequency[0, 0] = np.inf
        images = np.empty((count, side, side, 3), np.uint8)
        for part in parts:
            along = np.cos(angle[part]) * x + np.sin(angle[part]) * y + phase[part]
            across = np.cos(angle[part]) * y - np.sin(angle[part]) * x + phase[part]
            grating = 0.5 + 0.5 * np.sin(2 * np.pi * along / period[part])
            checkers = ((np.floor(2 * along / period[part]) + np.floor(2 * across / period[part])) % 2).astype(float)
            filtered = np.real(np.fft.ifft2(np.fft.fft2(draw.standard_normal(along.shape)) / frequency))
            filtered -= filtered.min((1, 2), keepdims=True)
            filtered /= filtered.max((1, 2), keepdims=True)
            which = (np.arange(count)[part] % 3)[:, None, None]
            pattern = np.choose(which, [grating, checkers, filtered])[..., None]
            images[part] = np.rint(colours[0, part] * pattern + colours[1, part] * (1 - pattern)).astype(np.uint8)
        return image_set(images)


class Noise(Computed):
    """Independent uniform pixels."""

    kind: Literal["noise"] = "noise"

    def drawn(self, side: int) -> ImageSet:
        draw = np.random.default_rng(derived_seed(self.seed, "noise"))
        return image_set(draw.integers(0, 256, (self.images, side, side, 3), dtype=np.uint8))


def image_set(pixels: np.ndarray, form: str = "computed") -> ImageSet:
    """An OOD set that was never resized."""
    from synthood.common.image_facts import ImageFacts
    from synthood.common.images import ImageSet

    return ImageSet.out_of_distribution(pixels, ImageFacts.of(pixels, pixels.shape[1], form))

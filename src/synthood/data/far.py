"""Far OOD sets that need no download: photo patches, textures, noise; as large as the ID images."""

import copy

import numpy as np

from synthood.common.image_facts import ImageFacts
from synthood.common.images import ImageSet
from synthood.common.seeds import derived_seed
from synthood.data.settings import Computed, Noise, PhotoPatches, Textures
from synthood.errors import SynthoodError

SIDE = 32
"""Pixels a side where no ID images say otherwise, and at which textures are defined."""
AT_ONCE = 1 << 22
"""Pixels of textures that are computed together."""


def side_of(settings: Computed) -> int:
    """Pixels a side."""
    return settings.size or SIDE


def computed(images: np.ndarray, form: str = "computed") -> ImageSet:
    """An OOD set that was never resized."""
    return ImageSet.out_of_distribution(images, ImageFacts.of(images, images.shape[1], form))


def photo_patches(settings: PhotoPatches) -> ImageSet:
    """Patches of scikit-learn's photographs at random places, every second from each photograph.

    They are cut out of the photographs as they are, so larger patches show more of the scene, and are never resized.
    """
    from sklearn.datasets import load_sample_images

    photos, side = load_sample_images().images, side_of(settings)
    height, width = photos[0].shape[:2]
    if side > min(height, width):
        raise SynthoodError(
            f"photo-patches: {side} px are more than the photographs have ({width}x{height}); take images of your own"
        )
    draw = np.random.default_rng(derived_seed(settings.seed, "photo-patches"))
    patches = np.empty((settings.images, side, side, 3), np.uint8)
    for index in range(settings.images):
        photo = photos[index % len(photos)]
        top, left = (int(draw.integers(size - side + 1)) for size in photo.shape[:2])
        patches[index] = photo[top : top + side, left : left + side]
    made = computed(patches, "JPEG")
    room = len(photos) * (height // side) * (width // side)
    if settings.images > room:
        made.notes.append(f"{settings.images} patches of {side} px overlap: the photographs have room for {room} apart")
    return made


def textures(settings: Textures) -> ImageSet:
    """In turn: gratings, checkerboards, and noise filtered to 1/f; each between two random colours.

    At every size they have as many periods; a period is 3 to 12 px at 32 px.
    """
    draw = np.random.default_rng(derived_seed(settings.seed, "textures"))
    count, side = settings.images, side_of(settings)
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
    return computed(images)


def noise(settings: Noise) -> ImageSet:
    """Independent uniform pixels."""
    draw, side = np.random.default_rng(derived_seed(settings.seed, "noise")), side_of(settings)
    return computed(draw.integers(0, 256, (settings.images, side, side, 3), dtype=np.uint8))

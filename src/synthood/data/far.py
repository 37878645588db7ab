"""Far OOD sets that need no download: photo patches, textures, noise."""

import numpy as np

from synthood.common.images import ImageSet
from synthood.common.seeds import derived_seed
from synthood.data.settings import Noise, PhotoPatches, Textures

SIDE = 32


def photo_patches(settings: PhotoPatches) -> ImageSet:
    """Patches of scikit-learn's photographs at random places, every second from each photograph."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    draw = np.random.default_rng(derived_seed(settings.seed, "photo-patches"))
    patches = []
    for index in range(settings.images):
        photo = photos[index % len(photos)]
        top, left = (int(draw.integers(size - SIDE + 1)) for size in photo.shape[:2])
        patches.append(photo[top : top + SIDE, left : left + SIDE])
    return ImageSet.out_of_distribution(np.stack(patches).astype(np.uint8))


def textures(settings: Textures) -> ImageSet:
    """In turn: gratings, checkerboards, and noise filtered to 1/f; each between two random colours."""
    draw = np.random.default_rng(derived_seed(settings.seed, "textures"))
    count = settings.images
    y, x = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    angle, period, phase = (draw.uniform(low, high, (count, 1, 1)) for low, high in ((0, np.pi), (3, 12), (0, 20)))
    along = np.cos(angle) * x + np.sin(angle) * y + phase
    across = np.cos(angle) * y - np.sin(angle) * x + phase
    grating = 0.5 + 0.5 * np.sin(2 * np.pi * along / period)
    checkers = ((np.floor(2 * along / period) + np.floor(2 * across / period)) % 2).astype(float)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :])
    frequency[0, 0] = np.inf
    filtered = np.real(np.fft.ifft2(np.fft.fft2(draw.standard_normal((count, SIDE, SIDE))) / frequency))
    filtered -= filtered.min((1, 2), keepdims=True)
    filtered /= filtered.max((1, 2), keepdims=True)
    pattern = np.choose((np.arange(count) % 3)[:, None, None], [grating, checkers, filtered])[..., None]
    colours = draw.uniform(0, 255, (2, count, 1, 1, 3))
    return ImageSet.out_of_distribution(np.rint(colours[0] * pattern + colours[1] * (1 - pattern)).astype(np.uint8))


def noise(settings: Noise) -> ImageSet:
    """Independent uniform pixels."""
    draw = np.random.default_rng(derived_seed(settings.seed, "noise"))
    return ImageSet.out_of_distribution(draw.integers(0, 256, (settings.images, SIDE, SIDE, 3), dtype=np.uint8))

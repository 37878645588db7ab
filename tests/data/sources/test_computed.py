"""Far OOD sets: what their pixels are, and that seeds decide them."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from synthood.data.selection import Selection
from synthood.data.sources.computed import Noise, PhotoPatches, Textures

MAKERS = {
    "photo-patches": lambda count, seed: PhotoPatches(images=count, seed=seed).read(Selection(part="far")),
    "textures": lambda count, seed: Textures(images=count, seed=seed).read(Selection(part="far")),
    "noise": lambda count, seed: Noise(images=count, seed=seed).read(Selection(part="far")),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_seed_decides_every_pixel(make):
    images = make(9, 0)
    assert images.images.shape == (9, 32, 32, 3)
    assert images.images.dtype == np.uint8
    assert images.labels.tolist() == [-1] * 9
    assert images.labels.dtype == np.int64
    assert images.classes == []
    assert make(9, 0).images.tobytes() == images.images.tobytes()
    other = make(9, 1).images
    assert all(a.tobytes() != b.tobytes() for a, b in zip(images.images, other, strict=True))
    assert len({image.tobytes() for image in images.images}) == 9


def stands_at(photo, patch):
    """Places of the photograph that show the patch."""
    rows, columns = photo.shape[0] - 31, photo.shape[1] - 31
    corners = (photo[:rows, :columns] == patch[0, 0]).all(-1) & (photo[31:, 31:] == patch[31, 31]).all(-1)
    return [
        (top, left) for top, left in np.argwhere(corners) if (photo[top : top + 32, left : left + 32] == patch).all()
    ]


def test_patches_are_windows_of_the_photographs_in_turn():
    photos = load_sample_images().images
    patches = MAKERS["photo-patches"](24, 3).images
    places = [stands_at(photos[index % 2], patch) for index, patch in enumerate(patches)]
    assert all(places)
    assert len({place[0] for place in places}) == 24


def test_patches_reach_all_of_a_photograph():
    photos = load_sample_images().images
    patches = MAKERS["photo-patches"](60, 0).images
    tops, lefts = zip(*(stands_at(photos[index % 2], patch)[0] for index, patch in enumerate(patches)), strict=True)
    height, width = (size - 32 for size in photos[0].shape[:2])
    assert min(tops) < 0.1 * height
    assert max(tops) > 0.9 * height
    assert min(lefts) < 0.1 * width
    assert max(lefts) > 0.9 * width


def colours(image):
    return len(np.unique(image.reshape(-1, 3), axis=0))


def along_one_line(image):
    """Share of the colours' variance that one direction explains."""
    pixels = image.reshape(-1, 3).astype(float)
    values = np.linalg.eigvalsh(np.cov(pixels.T))
    return values[-1] / values.sum()


def test_textures_come_in_turn_each_between_two_colours():
    images = MAKERS["textures"](12, 0).images
    for index, image in enumerate(images):
        assert along_one_line(image) > 0.99
        if index % 3 == 1:
            assert colours(image) == 2  # a checkerboard
        else:
            assert colours(image) > 20
    for index in (0, 3, 6, 9):  # a grating has few frequencies, filtered noise many
        power = [np.abs(np.fft.fft2(images[i].mean(-1) - images[i].mean())) ** 2 for i in (index, index + 2)]
        strongest = [np.sort(p, axis=None)[-12:].sum() / p.sum() for p in power]
        assert strongest[0] > strongest[1]


def test_noise_is_uniform_and_independent():
    images = MAKERS["noise"](60, 0).images
    share = np.bincount(images.ravel(), minlength=256) / images.size
    assert len(share) == 256
    assert np.abs(share * 256 - 1).max() < 0.2
    flat = images.astype(float) - 127.5
    for neighbour in (flat[:, 1:] * flat[:, :-1], flat[:, :, 1:] * flat[:, :, :-1], flat[..., 1:] * flat[..., :-1]):
        assert abs(neighbour.mean()) / flat.var() < 0.02

"""Hashes, correlations, and the nearest image by both."""

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from pictures import as_jpeg, smooth
from synthood.data.leaks import likeness
from synthood.data.leaks.likeness import alike, joined, looks_of, unit_pixels


def test_the_hash_is_the_sign_of_low_frequencies_against_their_median():
    images = smooth(20)
    signs = looks_of(images).signs
    for image, found in zip(images, signs, strict=True):
        low = dctn(image @ [0.299, 0.587, 0.114])[1:9, 1:9].ravel()
        clear = np.abs(low - np.median(low)) > 8
        assert clear.sum() > 50
        np.testing.assert_array_equal(found[clear], np.where(low > np.median(low), 1, -1)[clear])
    assert (signs.sum(1) == 0).all()


def test_pixels_are_means_of_two_by_two_and_correlate_as_numpy_says():
    images = smooth(6)
    pixels = looks_of(images).pixels
    corner = images[2, :2, 2:4, 1].mean()
    assert abs(pixels.reshape(6, 16, 16, 3)[2, 0, 1, 1] - corner) <= 0.5
    units = unit_pixels(pixels)
    centred = pixels.reshape(6, 256, 3) - pixels.reshape(6, 256, 3).mean(1, keepdims=True)
    expected = np.corrcoef(centred.reshape(6, -1))
    np.testing.assert_allclose(units @ units.T, expected, atol=1e-5)


def test_flat_images_have_no_bits_and_resemble_nothing():
    flat = np.repeat(np.array([0, 9, 255], np.uint8), 32 * 32 * 3).reshape(3, 32, 32, 3)
    looks = looks_of(flat)
    assert (looks.signs == -1).all()
    assert (unit_pixels(looks.pixels) == 0).all()
    found, _ = alike(looks, looks, 0, 0.01)
    assert found.place.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("tile", [3, 7, 4096])
@pytest.mark.parametrize("hash_bits", [0, 10, 30])
def test_the_nearest_is_that_of_all_pairs_whatever_the_tiles(monkeypatch, tile, hash_bits):
    monkeypatch.setattr(likeness, "TILE", tile)
    first = smooth(25, seed=1)
    second = np.concatenate([smooth(10, seed=2), np.stack([as_jpeg(image) for image in first[5:13]]), first[3:5]])
    one, other = looks_of(first), looks_of(second)
    differing = (one.signs[:, None] != other.signs[None]).sum(2)
    correlation = unit_pixels(one.pixels).astype(float) @ unit_pixels(other.pixels).T.astype(float)
    allowed = np.where((differing <= hash_bits) & (correlation >= 0.3), correlation, -1)
    for found, table in zip(alike(one, other, hash_bits, 0.3), (allowed, allowed.T), strict=True):
        np.testing.assert_allclose(found.correlation, table.max(1), atol=1e-5)
        assert ((found.place >= 0) == (table.max(1) > 0)).all()
        has = np.flatnonzero(found.place >= 0)
        np.testing.assert_allclose(table[has, found.place[has]], table.max(1)[has], atol=1e-5)
    assert (allowed.max(1) > 0).sum() >= (10 if hash_bits else 2)


def test_copies_in_other_light_size_and_compression_are_found_and_others_are_not():
    originals, strangers = smooth(40, seed=3, side=64), smooth(40, seed=4, side=64)
    changed = [
        np.rint(originals * 0.7 + 40).astype(np.uint8),
        np.stack([as_jpeg(image) for image in originals]),
        np.stack([np.asarray(Image.fromarray(image).resize((48, 48))) for image in originals]),
    ]
    own = looks_of(originals)
    for copies in changed:
        found, _ = alike(looks_of(copies), own, 12, 0.9)
        assert found.place.tolist() == list(range(40))
    assert (alike(looks_of(strangers), own, 12, 0.9)[0].place == -1).all()


def test_joined_looks_are_those_of_all_images():
    images = smooth(7)
    whole, pieces = looks_of(images), joined([looks_of(images[:3]), looks_of(images[3:])])
    np.testing.assert_array_equal(whole.signs, pieces.signs)
    np.testing.assert_array_equal(whole.pixels, pieces.pixels)

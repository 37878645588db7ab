"""Which images of two sets look alike: a perceptual hash finds candidates, the correlation of pixels decides."""

from dataclasses import dataclass

import numpy as np

HASH_SIDE = 32
PIXEL_SIDE = 16
BITS = 64
TILE = 4096
"""Images of either set that are compared at once: 64 MiB of hash products."""
GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass
class Looks:
    """How images look: signs int8 [N,64] of the hash, pixels uint8 [N,768]; 832 bytes an image."""

    signs: np.ndarray
    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.signs)


def looks_of(images: np.ndarray) -> Looks:
    """Hash and pixels of images uint8 [N,H,W,3].

    The hash is the DCT hash of Zauner (thesis, FH Hagenberg 2010): the 8x8 lowest frequencies without the constant
    ones, each above or below their median; flat images have all bits unset.
    """
    small = _resized(images)
    basis = _cosines()
    frequencies = np.round(basis @ (small.astype(np.float32) @ GREY) @ basis.T, 1).reshape(len(small), BITS)
    signs = np.where(frequencies > np.median(frequencies, axis=1, keepdims=True), 1, -1).astype(np.int8)
    step = HASH_SIDE // PIXEL_SIDE
    means = small.reshape(len(small), PIXEL_SIDE, step, PIXEL_SIDE, step, 3).mean((2, 4))
    return Looks(signs, np.rint(means).astype(np.uint8).reshape(len(small), -1))


def joined(parts: list[Looks]) -> Looks:
    """One after the other."""
    return Looks(np.concatenate([p.signs for p in parts]), np.concatenate([p.pixels for p in parts]))


def _resized(images: np.ndarray) -> np.ndarray:
    from PIL import Image

    if images.shape[1:3] == (HASH_SIDE, HASH_SIDE):
        return images
    side = (HASH_SIDE, HASH_SIDE)
    return np.stack([np.asarray(Image.fromarray(i).resize(side, Image.Resampling.BOX)) for i in images])


def _cosines() -> np.ndarray:
    """DCT-II functions of frequencies 1 to 8, float32 [8,32]."""
    place, frequency = np.arange(HASH_SIDE), np.arange(1, 9)[:, None]
    return np.cos(np.pi * (2 * place + 1) * frequency / (2 * HASH_SIDE)).astype(np.float32)


def unit_pixels(pixels: np.ndarray) -> np.ndarray:
    """Pixels uint8 [N,768] less the mean of each channel, as float32 vectors of length 1; flat images stay 0."""
    centred = pixels.reshape(len(pixels), -1, 3).astype(np.float32)
    centred -= centred.mean(1, keepdims=True)
    flat = centred.reshape(len(pixels), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


@dataclass
class Nearest:
    """For every image of a set, the image of another that resembles it most: its place int64 [N] (-1: none does)."""

    place: np.ndarray
    correlation: np.ndarray

    @classmethod
    def none(cls, count: int) -> "Nearest":
        return cls(np.full(count, -1, np.int64), np.full(count, -1, np.float32))

    def update(self, own: np.ndarray, others: np.ndarray, correlation: np.ndarray, least: float) -> None:
        """Takes over what is nearer: correlation [len(own), len(others)] of the images at these places."""
        best = correlation.argmax(1)
        values = correlation[np.arange(len(own)), best]
        nearer = (values >= least) & (values > self.correlation[own])
        self.place[own[nearer]] = others[best[nearer]]
        self.correlation[own[nearer]] = values[nearer]


def alike(first: Looks, second: Looks, hash_bits: int, least: float) -> tuple[Nearest, Nearest]:
    """For each image of either set the nearest of the other, among those whose hashes differ in `hash_bits` at most.

    Works tile by tile; memory does not grow with the product of the sets' sizes.
    """
    of_first, of_second = Nearest.none(len(first)), Nearest.none(len(second))
    for top in range(0, len(first), TILE):
        left_signs = first.signs[top : top + TILE].astype(np.float32)
        for left in range(0, len(second), TILE):
            agreeing = left_signs @ second.signs[left : left + TILE].T.astype(np.float32)
            candidate = agreeing >= BITS - 2 * hash_bits
            rows, columns = np.flatnonzero(candidate.any(1)), np.flatnonzero(candidate.any(0))
            if not len(rows):
                continue
            one, other = unit_pixels(first.pixels[top + rows]), unit_pixels(second.pixels[left + columns])
            correlation = np.where(candidate[np.ix_(rows, columns)], one @ other.T, np.float32(-1))
            of_first.update(top + rows, left + columns, correlation, least)
            of_second.update(left + columns, top + rows, correlation.T, least)
    return of_first, of_second

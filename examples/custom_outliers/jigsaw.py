"""Outliers from ID images alone: each image's tiles change places, so local texture stays and the object goes."""

import numpy as np


def outliers(images, labels, random, tiles=2):
    """Every image [N,H,W,3] once, its tiles x tiles parts in an order other than their own."""
    count, height, width, channels = images.shape
    if height % tiles or width % tiles:
        raise ValueError(f"{height}x{width} px cannot be cut into {tiles}x{tiles} equal tiles")
    h, w = height // tiles, width // tiles
    parts = images.reshape(count, tiles, h, tiles, w, channels).swapaxes(2, 3).reshape(count, tiles**2, h, w, channels)
    order = random.permuted(np.tile(np.arange(tiles**2), (count, 1)), axis=1)
    as_it_was = (order == np.arange(tiles**2)).all(1)
    order[as_it_was] = np.roll(order[as_it_was], 1, axis=1)
    parts = parts[np.arange(count)[:, None], order].reshape(count, tiles, tiles, h, w, channels)
    return parts.swapaxes(2, 3).reshape(images.shape)

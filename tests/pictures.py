"""Pictures that tests draw: large shapes, as photographs have, and what compression makes of them."""

import io

import numpy as np
from PIL import Image, ImageFilter


def smooth(count, seed=0, side=32):
    """Pictures with large shapes, as photographs have: blurred noise over the whole range."""
    noise = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    blurred = [
        np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(side / 12)), np.float64) for image in noise
    ]
    return np.stack([np.rint((b - b.min()) / np.ptp(b) * 200 + 20).astype(np.uint8) for b in blurred])


def as_jpeg(image, quality=60):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))

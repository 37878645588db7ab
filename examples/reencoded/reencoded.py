"""ID test images passed through another set's file format and size: what a detector finds there is the format alone."""

import io

import numpy as np
from PIL import Image


def images(split: str, path: str, side: int, quality: int) -> np.ndarray:
    """Images uint8 [N,side,side,3] of a file's `images`, enlarged and read back from JPEG."""
    with np.load(path) as file:
        pixels = file["images"]
    return np.stack([reencoded(one, side, quality) for one in pixels])


def reencoded(pixels: np.ndarray, side: int, quality: int) -> np.ndarray:
    """One image uint8 [H,W,3], enlarged to `side` and read back from a JPEG file of this quality."""
    written = io.BytesIO()
    Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC).save(written, "JPEG", quality=quality)
    return np.asarray(Image.open(io.BytesIO(written.getvalue())).convert("RGB"))

"""Drawn shapes as a data set: circles, squares and triangles of any colour, place and size; crosses as OOD images."""

import numpy as np

SIDE = 32
SPLITS = {"train": 0, "val": 1, "test": 2}


def images(split: str, shapes: list[str], per_class: int, seed: int = 0) -> tuple[np.ndarray, list[int], list[str]]:
    """Images uint8 [N,32,32,3], their labels and the names of the classes; every split has images of its own."""
    draw = np.random.default_rng([seed, SPLITS[split]])
    labels = [label for label in range(len(shapes)) for _ in range(per_class)]
    return np.stack([drawn(shapes[label], draw) for label in labels]), labels, shapes


def drawn(shape: str, draw: np.random.Generator) -> np.ndarray:
    """One shape in one colour on a ground of another, with a little noise."""
    radius = draw.uniform(7, 12)
    x0, y0 = draw.uniform(radius, SIDE - radius, 2)
    y, x = np.mgrid[:SIDE, :SIDE]
    dx, dy = (x - x0) / radius, (y - y0) / radius
    inside = {
        "circle": np.hypot(dx, dy) < 1,
        "square": np.maximum(abs(dx), abs(dy)) < 0.85,
        "triangle": (dy < 0.8) & (abs(dx) < (dy + 1) / 1.8),
        "cross": (np.minimum(abs(dx), abs(dy)) < 0.3) & (np.maximum(abs(dx), abs(dy)) < 1),
    }[shape]
    colours = draw.uniform(0, 255, (2, 3))
    picture = np.where(inside[..., None], colours[0], colours[1]) + draw.normal(0, 8, (SIDE, SIDE, 3))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)

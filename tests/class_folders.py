"""Folders of small pictures for the tests of `synthood init`."""

import numpy as np
from PIL import Image

from pictures import smooth


def fill(folder, count, seed, side=16, suffix="png"):
    """So many pictures of one colour per seed in a folder, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    colour = np.random.default_rng(seed).integers(0, 120, 3)
    for index, image in enumerate(smooth(count, seed, side) if count else ()):
        Image.fromarray(np.clip(image // 2 + colour, 0, 255).astype(np.uint8)).save(folder / f"{index}.{suffix}")
    return folder


def by_class(folder, counts, side=16):
    """A folder per class with so many pictures each."""
    for seed, (name, count) in enumerate(counts.items()):
        fill(folder / name, count, seed, side)
    return folder


def by_split(folder, counts, classes=("a", "b"), side=16):
    """Folders of splits, each with so many pictures of each class."""
    for seed, (split, count) in enumerate(counts.items()):
        for number, name in enumerate(classes):
            fill(folder / split / name, count, 10 * seed + number, side)
    return folder

"""A picture of synthesised images, each class beside the nearest training images."""

from pathlib import Path

import matplotlib
import numpy as np

from synthood.common.images import ImageSet

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PER_CLASS = 12
DPI = 110
GAP = 2


def row_of(images: np.ndarray) -> np.ndarray:
    """Images [N,H,W,3] side by side with white gaps."""
    padded = np.pad(images, ((0, 0), (GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), axis=1)


def draw_gallery(path: Path, synthetic: ImageSet, nearest: np.ndarray, title: str, left: str = "synthetic") -> None:
    """Left: the first images of each class; right: the training image nearest to each; above: the title."""
    rows: list[list[np.ndarray]] = []
    names = []
    for label, name in enumerate(synthetic.classes):
        shown = np.flatnonzero(synthetic.labels == label)[:PER_CLASS]
        if len(shown):
            names.append(name)
            rows.append([row_of(synthetic.images[shown]), row_of(nearest[shown])])
    height = 0.42 * len(rows) + 0.9
    figure, axes = plt.subplots(1, 2, figsize=(11, height), dpi=DPI, layout="constrained")
    for axis, side, heading in zip(axes, zip(*rows, strict=True), (left, "nearest training image"), strict=True):
        axis.imshow(np.concatenate([pad_to(picture, side) for picture in side]))
        axis.set_title(heading, fontsize=9)
        axis.set_xticks([])
        each = side[0].shape[0]
        axis.set_yticks([each * (index + 0.5) for index in range(len(rows))], names)
        axis.tick_params(length=0, labelsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, format="png", metadata={"Software": None})
    plt.close(figure)


def pad_to(picture: np.ndarray, side: tuple[np.ndarray, ...]) -> np.ndarray:
    """Widens a row to the widest of its side, in white."""
    width = max(other.shape[1] for other in side)
    return np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)

"""A picture of synthesised images, each class beside the nearest training images."""

from pathlib import Path

import matplotlib
import numpy as np

from synthood.common.images import ImageSet
from synthood.reporting.short_names import CELL, shortened

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PER_CLASS = 12
DPI = 110
GAP = 2


def row_of(images: np.ndarray) -> np.ndarray:
    """Images [N,H,W,3] side by side with white gaps."""
    padded = np.pad(images, ((0, 0), (GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), axis=1)


def draw_gallery(
    path: Path,
    synthetic: ImageSet,
    nearest: np.ndarray,
    title: str,
    left: str = "synthetic",
    real: ImageSet | None = None,
) -> None:
    """Left: the first images of each class; right: the training image nearest to each; above: the title.

    Before both, real images of each class where some are given. A class without images has an empty row that says so.
    """
    panels = [(left, synthetic, synthetic.images), ("nearest training image", synthetic, nearest)]
    if real is not None:
        panels.insert(0, ("real", real, real.images))
    shown = 2 * PER_CLASS // len(panels)
    classes = synthetic.classes
    names = shortened(classes, CELL)
    names = [name if (synthetic.labels == label).any() else f"{name}: none" for label, name in enumerate(names)]
    blank = np.full((1, *synthetic.images.shape[1:]), 255, np.uint8)
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 0.42 * len(names) + 0.9), dpi=DPI, layout="constrained")
    for axis, (heading, source, pictures) in zip(axes, panels, strict=True):
        side = tuple(
            row_of(pictures[own]) if len(own) else row_of(blank)
            for label in range(len(classes))
            for own in [np.flatnonzero(source.labels == label)[:shown]]
        )
        axis.imshow(np.concatenate([pad_to(picture, side) for picture in side]))
        axis.set_title(heading, fontsize=9)
        axis.set_xticks([])
        each = side[0].shape[0]
        places = [each * (index + 0.5) for index in range(len(names))]
        axis.set_yticks(places, names if axis is axes[0] else [], parse_math=False)
        axis.tick_params(length=0, labelsize=8)
    figure.suptitle(title, fontsize=10, parse_math=False)
    figure.savefig(path, format="png", metadata={"Software": None})
    plt.close(figure)


def pad_to(picture: np.ndarray, side: tuple[np.ndarray, ...]) -> np.ndarray:
    """Widens a row to the widest of its side, in white."""
    width = max(other.shape[1] for other in side)
    return np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)

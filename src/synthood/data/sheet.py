"""Stage `sheet`: a contact sheet, a row of images from each part of a dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.images import open_set
from synthood.data.prepare import imbalance

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SHOWN = 20
CELL = 64
GAP = 2
DPI = 110


@dataclass
class Row:
    """A part's name and what is said of it, and some of its images, each fitted into a cell: uint8 [H,W,3]."""

    name: str
    text: str
    picture: np.ndarray


def spread(labels: np.ndarray, count: int) -> np.ndarray:
    """Places of at most `count` images, evenly spread over the classes and within each."""
    order = np.argsort(labels, kind="stable")
    return order[np.unique(np.linspace(0, len(labels) - 1, min(count, len(labels))).round().astype(int))]


def cell(image: np.ndarray) -> np.ndarray:
    """An image uint8 [H,W,3] shrunk or enlarged to fit a white cell."""
    from PIL import Image

    scale = CELL / max(image.shape[:2])
    side = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    small = np.asarray(Image.fromarray(image).resize(side, how))
    whole = np.full((CELL + 2 * GAP, CELL + 2 * GAP, 3), 255, np.uint8)
    top, left = GAP + (CELL - side[1]) // 2, GAP + (CELL - side[0]) // 2
    whole[top : top + side[1], left : left + side[0]] = small
    return whole


def row_of(path: Path, threads: int = 1) -> Row:
    """Some images of one part, its number of images, and its smallest and largest class where they differ."""
    made = open_set(path, threads)
    cells = [cell(image) for image in made.images[spread(made.labels, SHOWN)]]
    cells += [np.full_like(cells[0], 255)] * (SHOWN - len(cells))
    height, width = made.images.shape[1:3]
    text = f"{len(made)} images, {width}x{height} px"
    text += f", {len(made.classes)} classes{imbalance(made.labels, made.classes)}" if made.classes else ""
    text += f"; {len(made.notes)} notes" if made.notes else ""
    return Row(path.stem, text, np.concatenate(cells, axis=1))


def draw(path: Path, rows: list[Row], title: str) -> None:
    """One picture of all rows, each below its name."""
    figure, axes = plt.subplots(
        len(rows), 1, figsize=(11, 0.85 * len(rows) + 0.4), dpi=DPI, layout="constrained", squeeze=False
    )
    for axis, row in zip(axes[:, 0], rows, strict=True):
        axis.imshow(row.picture)
        axis.set_title(f"{row.name}: {row.text}", fontsize=8, loc="left", pad=2, parse_math=False)
        axis.set_axis_off()
    figure.suptitle(title, fontsize=10, parse_math=False)
    figure.savefig(path, format="png", metadata={"Software": None})
    plt.close(figure)


@stage.Stage
def main(
    job: stage.Job,
    threads: int,
    images: Annotated[list[Path], "image sets, named by their files"],
    output: Output,
    title: Annotated[str, "stands above the picture"] = "",
) -> None:
    rows = [row_of(path, threads) for path in images]
    with job.writing(output) as path:
        draw(path, rows, title)
    for row in rows:
        print(f"{row.name}: {row.text}")


if __name__ == "__main__":
    main()

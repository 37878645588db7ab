"""Pictures: pixels of a gallery's rows, and that a gallery can be drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from odd_names import ODD, REVERSED
from synthood.common.images import ImageSet
from synthood.reporting.gallery import GAP, draw_gallery, pad_to, row_of


def test_row_of_puts_images_side_by_side_in_white() -> None:
    images = np.stack([np.full((3, 4, 3), value, np.uint8) for value in (10, 20)])
    row = row_of(images)
    assert row.shape == (3 + 2 * GAP, 2 * (4 + 2 * GAP), 3)
    assert (row[GAP:-GAP, GAP : GAP + 4] == 10).all()
    assert (row[GAP:-GAP, 3 * GAP + 4 : 3 * GAP + 8] == 20).all()
    assert (row == 255).sum() == row.size - images.size


def test_pad_to_widens_in_white() -> None:
    narrow, wide = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 5, 3), np.uint8)
    padded = pad_to(narrow, (narrow, wide))
    assert padded.shape == wide.shape
    assert (padded[:, :3] == 0).all()
    assert (padded[:, 3:] == 255).all()


@pytest.mark.parametrize("count", [2, 5])
def test_gallery_is_a_picture_with_the_same_bytes_each_time(tmp_path: Path, count: int) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 8, 8, 3), np.uint8)
    synthetic = ImageSet(images, np.arange(count) % 2, ["cat", "dog"])
    for name in ("a.png", "b.png"):
        draw_gallery(tmp_path / name, synthetic, images[::-1], "toy")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 500
        assert len(set(picture.convert("L").tobytes())) > 10


def test_gallery_shows_its_title_and_the_heading_of_its_left_side(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    synthetic = ImageSet(images, np.arange(2), ["cat", "dog"])
    for name, title, left in (
        ("default", "toy", {}),
        ("spelt", "toy", {"left": "synthetic"}),
        ("title", "toys", {}),
        ("left", "toy", {"left": "outliers"}),
    ):
        draw_gallery(tmp_path / name, synthetic, images, title, **left)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert drawn["spelt"] == drawn["default"]
    assert len(set(drawn.values())) == 3


def test_gallery_of_a_class_without_images_has_an_empty_row(tmp_path: Path) -> None:
    """Its name is shown; with real images beside, their row is not empty."""
    images = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 3), np.uint8)
    some = ImageSet(images, np.zeros(3, np.int64), ["cat", "dog"])
    real = ImageSet(images, np.array([0, 1, 1]), ["cat", "dog"])
    sizes = {}
    for name, classes, beside in (
        ("one", ["cat"], None),
        ("two", ["cat", "dog"], None),
        ("real", ["cat", "dog"], real),
    ):
        draw_gallery(tmp_path / name, ImageSet(images, some.labels, classes), images, "toy", real=beside)
        with Image.open(tmp_path / name) as picture:
            sizes[name] = picture.size
    assert sizes["two"][1] > sizes["one"][1]
    assert sizes["real"] == sizes["two"]
    assert (tmp_path / "real").read_bytes() != (tmp_path / "two").read_bytes()


CLASSES = [ODD["long"], r"\frac$ ${x}$", REVERSED, f"{ODD['markup']}\udc80", ODD["right-to-left"]]
SHOWN = ["very-very-v…-very-", r"\frac$ ${x}$", r"a\u202eb\u2066c", r"<script>ale…\udc80", ODD["right-to-left"]]


def drawn(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> Figure:
    """The figure of a gallery, before it is closed."""
    with monkeypatch.context() as patched:
        patched.setattr(plt, "close", lambda figure: None)
        draw_gallery(*arguments)
    return plt.gcf()


def test_names_of_classes_are_short_and_no_mathematics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(3).integers(0, 256, (5, 8, 8, 3), np.uint8)
    figure = drawn(monkeypatch, tmp_path / "a.png", ImageSet(images, np.arange(5), CLASSES), images, "50 $ and $$")
    labels = figure.axes[0].get_yticklabels()
    assert [text.get_text() for text in labels] == SHOWN
    assert min(text.get_window_extent().x0 for text in labels) >= 0
    plt.close("all")


def test_a_gallery_of_no_image_names_its_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of outliers of which none was accepted."""
    nothing = np.zeros((0, 8, 8, 3), np.uint8)
    figure = drawn(monkeypatch, tmp_path / "a.png", ImageSet(nothing, np.zeros(0, np.int64), ["a", "b"]), nothing, "t")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a: none", "b: none"]
    assert (np.asarray(figure.axes[0].images[0].get_array()) == 255).all()
    plt.close("all")

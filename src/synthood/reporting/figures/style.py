"""How figures look: colours, dashes and panels, the same in pictures and on pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from synthood.common.lazy import lazy, np
from synthood.reporting.short_names import CELL, short, shortened

if TYPE_CHECKING:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture
else:
    matplotlib = lazy("matplotlib")

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
COLOURS = ("#1f68ba", "#db7600", "#6c2dfd", "#2fa2aa", "#964c34")
"""At least 3:1 against white and against a dark page, and apart for red- and green-blind readers too."""
DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 2), (8, 2, 2, 2))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-left", "triangle-right")
"""The same in Vega, as far as it has them."""
STYLES = len(COLOURS) * len(DASHES)
"""So many lines have a style of their own."""
BETTER, WORSE, NEUTRAL = COLOURS[0], COLOURS[1], "#808080"
GREY = "#80808080"
SHADES = "viridis"
PANEL = 2.3
LEGEND_COLUMNS = 5
MARK, LETTER = 0.55, 0.062
"""Inches of a legend's entry without its text, and of a letter."""
SMALL, TEXT = 7, 9

CONFIG: dict[str, Any] = {
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "gridColor": "#80808040",
        "domainColor": GREY,
        "tickColor": GREY,
        "titleFontWeight": "normal",
        "labelLimit": 300,
    },
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "titleFontWeight": "normal",
        "labelLimit": 300,
        "symbolLimit": 100,
    },
    "title": {"color": "currentColor", "fontWeight": "normal"},
    "header": {"labelColor": "currentColor", "titleColor": "currentColor"},
    "text": {"color": "currentColor"},
}
RC: Any = {"svg.hashsalt": "synthood", "text.parse_math": False, "axes.formatter.useoffset": False, "font.size": TEXT}
"""Of pictures: the same bytes each time, and names with `$` in them as they are."""


def colour(index: int) -> str:
    """Of the line at a place; repeats with another dash."""
    return COLOURS[index % len(COLOURS)]


def dash(index: int) -> tuple[int, ...]:
    """Lengths of dashes and gaps of the line at a place; empty for a solid line."""
    return DASHES[index // len(COLOURS) % len(DASHES)]


def line(index: int) -> dict[str, Any]:
    """Matplotlib's arguments for the line at a place."""
    lengths = dash(index)
    return {"color": colour(index), "linestyle": (0, lengths) if lengths else "-", "linewidth": 1.2}


def marker(index: int) -> tuple[str, str]:
    """Colour and form of the mark at a place; the pair repeats after 40."""
    return colour(index), MARKERS[index % len(MARKERS)]


def lines_by(field: str, count: int, title: str | None = None) -> dict[str, Any]:
    """Vega-Lite's channels of colour and dash by a field whose values come in the order of their places."""
    legend = {"title": title, "symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 300, "symbolOpacity": 1}
    common = {"field": field, "type": "nominal", "sort": None}
    return {
        "color": common | {"scale": {"range": [colour(i) for i in range(count)]}, "legend": legend},
        "strokeDash": common | {"scale": {"range": [list(dash(i)) or [1, 0] for i in range(count)]}, "legend": legend},
    }


def marks_by(field: str, count: int, title: str | None = None) -> dict[str, Any]:
    """Vega-Lite's channels of colour and form, likewise."""
    common: dict[str, Any] = {"field": field, "type": "nominal", "sort": None, "legend": {"title": title}}
    return {
        "color": common | {"scale": {"range": [colour(i) for i in range(count)]}},
        "shape": common | {"scale": {"range": [SHAPES[i % len(SHAPES)] for i in range(count)]}},
    }


def without_legend(channel: Mapping[str, Any]) -> dict[str, Any]:
    """A channel of another layer, whose legend is that of the first."""
    return {key: value for key, value in channel.items() if key != "legend"}


def choice(name: str, options: Sequence[str], label: str) -> dict[str, Any]:
    """A parameter of a specification: one of some values, the first at the start."""
    bind = {"bind": {"input": "select", "options": list(options), "name": f"{label} "}} if len(options) > 1 else {}
    return {"name": name, "value": options[0], **bind}


def grid(rows: int, columns: int, width: float = PANEL, height: float = PANEL) -> tuple[Picture, np.ndarray]:
    """Panels of a picture, always two-dimensional."""
    picture = new_picture(width * columns + 0.6, height * rows + 0.6)
    return picture, picture.subplots(rows, columns, squeeze=False)


def panels(rows: int, columns: int, names: Sequence[str], gap: float = 0.12) -> tuple[Picture, np.ndarray]:
    """Many panels in fixed places, inches apart, with room for a legend of these names: laid out in no time."""
    side, left, right, bottom = 1.9, 0.85, 0.12, 0.6
    width = left + columns * side + (columns - 1) * gap + right
    top = 0.4 + 0.2 * -(-len(names) // legend_columns(shortened(names), width))
    size = width, bottom + rows * side + (rows - 1) * gap + top
    picture = new_picture(*size, layout=None)
    edges = left / size[0], bottom / size[1], 1 - right / size[0], 1 - top / size[1]
    picture.subplots_adjust(*edges, gap / side, gap / side)
    return picture, picture.subplots(rows, columns, squeeze=False)


def outer_labels(picture: Picture, x: str, y: str) -> None:
    """Names of the axes below and left of fixed panels."""
    width, height = picture.get_size_inches()
    picture.supxlabel(x, fontsize=TEXT, y=0.12 / height, va="bottom")
    picture.supylabel(y, fontsize=TEXT, x=0.08 / width, ha="left")


def across(count: int) -> int:
    """Panels in a row of so many."""
    return 2 if count == 4 else min(3, count)


def new_picture(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Picture:
    """A picture in inches, outside pyplot and its global state."""
    from matplotlib.figure import Figure as Picture

    return Picture(figsize=(width, height), layout=layout)


def name_panel(axis: Axes, row: int, column: int, row_name: str, column_name: str) -> None:
    """Names columns above the first row and rows at the left."""
    axis.tick_params(labelsize=SMALL)
    if row == 0:
        axis.set_title(short(column_name), fontsize=TEXT)
    if column == 0:
        axis.set_ylabel(short(row_name), fontsize=TEXT)


def legend_columns(labels: Sequence[str], width: float) -> int:
    """How many entries of a legend fit side by side into a picture of so many inches."""
    entry = MARK + LETTER * max(map(len, labels), default=0)
    return max(1, min(LEGEND_COLUMNS, int(width / entry)))


def legend(picture: Picture, *axes: Axes) -> None:
    """One legend above all panels, of what any of these has; of fixed panels too."""
    each = [pair for axis in axes for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    named = {label: handle for handle, label in reversed(each)}
    names = list(dict.fromkeys(label for _, label in each))
    handles, labels = [named[name] for name in names], shortened(names)
    look = {"ncols": legend_columns(labels, picture.get_size_inches()[0]), "fontsize": 8, "frameon": False}
    if picture.get_layout_engine() is None:
        picture.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 1), borderaxespad=0.2, **look)
    else:
        picture.legend(handles, labels, loc="outside upper center", **look)


def log_axis(axis: Any, ticks: Sequence[float] = ()) -> None:
    """Makes an x- or y-axis logarithmic, with plain numbers and few ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_minor_locator(NullLocator())
    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if ticks:
        axis.set_ticks(list(ticks))


def empty_picture(reason: str) -> Picture:
    """A picture that says why it shows nothing."""
    picture = new_picture(7.5, 1.0)
    axis = picture.subplots()
    axis.set_axis_off()
    axis.text(0.5, 0.5, reason, ha="center", va="center", wrap=True)
    return picture


def first(names: Sequence[str], most: int, what: str) -> tuple[list[str], list[str]]:
    """The first names, and a sentence where some were left out."""
    shown = list(names)[:most]
    left_out = len(names) - len(shown)
    return shown, [f"Shown are the first {len(shown)} of {len(names)} {what}."] * bool(left_out)


def heat(
    axis: Axes,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    low: float,
    high: float,
    root: bool = False,
) -> None:
    """Values [R,C] as coloured cells with their numbers; nothing where one is not finite.

    By the square `root` of the range small values differ too, and zeros have no number.
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    rows, columns = shortened(rows, CELL), shortened(columns, CELL)
    norm = PowerNorm(0.5 if root else 1.0, low, high)
    axis.imshow(values, cmap=SHADES, norm=norm, aspect="auto")
    size = SMALL if len(columns) <= 12 else 5
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value) and values.size <= 900 and not (root and value == 0):
            red, green, blue, _ = colormaps[SHADES](float(norm(value)))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            axis.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize=size, color="white" if dark else "black"
            )
    axis.set_xticks(range(len(columns)), columns, rotation=30 if max(map(len, columns)) > 6 else 0, ha="right")
    if max(map(len, columns)) <= 6:
        axis.set_xticks(range(len(columns)), columns, ha="center")
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(labelsize=SMALL, length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)

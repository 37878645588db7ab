"""Curves of ID against OOD confidences over all thresholds, for panels of detectors and sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthood.common.lazy import np, pd
from synthood.evaluation.ranking import counts_above
from synthood.reporting.figures.base import Data, Spec, TableData, rounded
from synthood.reporting.figures.style import (
    STYLES,
    choice,
    first,
    legend,
    line,
    lines_by,
    name_panel,
    outer_labels,
    panels,
    without_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Counts = NDArray[np.integer]

MOST_CURVES = 480
"""On a page, so that its numbers stay below half a megabyte."""
MOST_ROWS, MOST_COLUMNS = 6, 6
"""Panels of a picture."""

Curve = Callable[["Counts", "Counts"], tuple["Array", float]]
"""From counts of ID and OOD samples at or above each level [K], from the highest down: the curve in percent at each
point of a grid, and its area in percent."""


def curves(table: TableData, curve: Curve, **more: Any) -> Data:
    """A row for each detector, set and recipe: mean, lowest and highest over seeds at the grid's points, and area."""
    settings = table.settings
    recipes, notes = first(settings.recipes, STYLES, "recipes")
    columns = settings.columns
    room = max(1, MOST_CURVES // max(1, len(recipes) * len(columns)))
    detectors, left_out = first(settings.detectors, room, "detectors")
    rows: list[dict[str, object]] = []
    for detector in detectors:
        for dataset, part in columns:
            for recipe in recipes:
                ids = settings.ids(dataset)
                found = [
                    curve(*counts_above(model.column(detector, ids), model.column(detector, [part])))
                    for model in table.of(dataset, recipe)
                ]
                each = np.stack([points for points, _ in found])
                row = {"detector": detector, "set": settings.named(dataset, part), "recipe": recipe}
                area = float(np.mean([area for _, area in found]))
                rows.append(row | {"area": area, "mean": each.mean(0), "low": each.min(0), "high": each.max(0)})
    empty = "" if rows else "No OOD set."
    return Data(pd.DataFrame(rows), {**more, "seeds": len(settings.seeds)}, [*notes, *left_out], empty)


def names(data: Data, column: str) -> list[str]:
    """The values of a column, each once, in order."""
    return list(dict.fromkeys(data.rows[column]))


def view(data: Data, area: str, x: Mapping[str, Any], y: Mapping[str, Any], marks: Sequence[Spec] = ()) -> Spec:
    """Curves of one detector and set at a time, with the numbers of all recipes at the nearest point of the grid."""
    recipes, banded = names(data, "recipe"), data.more["seeds"] > 1
    lines_of = {recipe: f"line{place}" for place, recipe in enumerate(recipes)}  # a name may be no field's
    columns = ["mean", "low", "high"] if banded else ["mean"]
    values = [
        {key: row[key] for key in ("detector", "set", "recipe")}
        | {"label": f"{row['recipe']}  {row['area']:.1f}", "line": lines_of[row["recipe"]]}
        | {key: rounded(row[key]) for key in columns}
        for row in data.rows.to_dict("records")
    ]
    styles = lines_by("label", len(recipes), area)
    of_x, of_y = {"field": "x", "type": "quantitative", **x}, {"type": "quantitative", **y}
    band = {
        "mark": {"type": "area", "fillOpacity": 0.15},
        "encoding": {
            "x": of_x,
            "y": of_y | {"field": "low"},
            "y2": {"field": "high"},
            "color": without_legend(styles["color"]),
        },
    }
    shown = {"type": "quantitative", "format": ".1f"}
    tooltip = [{"field": "x", "title": x["title"], "type": "quantitative", "format": ".3~g"}]
    # Vega-Lite puts a title into an expression and escapes its quotes alone
    titles = {field: recipe.replace("\\", "\\\\") for recipe, field in lines_of.items()}
    tooltip += [{"field": field, "title": title} | shown for field, title in titles.items()]
    pointer = {"type": "point", "fields": ["x"], "nearest": True, "on": "pointerover", "clear": "pointerout"}
    rule = {
        "transform": [{"pivot": "line", "value": "mean", "groupby": ["x"]}],
        "params": [{"name": "at", "select": pointer}],
        "mark": {"type": "rule", "color": "currentColor"},
        "encoding": {
            "x": of_x,
            "opacity": {"condition": {"param": "at", "empty": False, "value": 0.5}, "value": 0},
            "tooltip": tooltip,
        },
    }
    lines = {
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {"x": of_x, "y": of_y | {"field": "mean"}} | styles,
    }
    return {
        "height": 340,
        "data": {"values": values},
        "params": [
            choice("detector", names(data, "detector"), "Detector"),
            choice("set", names(data, "set"), "OOD set"),
            {"name": "points", "value": rounded(data.more["grid"], 4)},
        ],
        "transform": [
            {"filter": "datum.detector == detector && datum.set == set"},
            {"calculate": "points", "as": "x"},
            {"flatten": ["x", *columns]},
        ],
        "layer": [*marks, *([band] if banded else []), lines, rule],
    }


def picture(data: Data, finish: Callable[[Axes], None], x: str, y: str) -> Picture:
    """Rows: detectors; columns: OOD sets; a line per recipe with the seeds' range, and its area in the corner."""
    detectors, sets = names(data, "detector")[:MOST_ROWS], names(data, "set")[:MOST_COLUMNS]
    image, axes = panels(len(detectors), len(sets), names(data, "recipe"), gap=0.22)
    places = {recipe: place for place, recipe in enumerate(names(data, "recipe"))}
    for row, detector in enumerate(detectors):
        for column, part in enumerate(sets):
            axis = axes[row, column]
            own = data.rows[(data.rows["detector"] == detector) & (data.rows["set"] == part)]
            for one in own.to_dict("records"):
                style = line(places[one["recipe"]])
                axis.plot(data.more["grid"], one["mean"], label=one["recipe"], **style)
                if data.more["seeds"] > 1:
                    low, high = one["low"], one["high"]
                    axis.fill_between(data.more["grid"], low, high, color=style["color"], alpha=0.15, linewidth=0)
            write_areas(axis, own, places)
            finish(axis)
            name_panel(axis, row, column, detector, part)
            axis.label_outer()
    outer_labels(image, x, y)
    legend(image, axes[0, 0])
    return image


def write_areas(axis: Axes, own: pd.DataFrame, places: Mapping[str, int]) -> None:
    """The areas of at most six recipes in their colours: lower right, or upper left where curves are low."""
    shown = own.to_dict("records")[:6]
    low = bool(np.mean([one["area"] for one in shown]) < 55)
    look: dict[str, Any] = {"transform": axis.transAxes, "ha": "left" if low else "right", "va": "top", "fontsize": 6}
    for place, one in enumerate(shown):
        height = (0.92 if low else 0.03 + 0.085 * len(shown)) - 0.085 * place
        text = f"{one['area']:.1f}"
        axis.text(0.04 if low else 0.97, height, text, color=line(places[one["recipe"]])["color"], **look)

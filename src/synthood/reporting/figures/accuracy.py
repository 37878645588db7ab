"""ID accuracy against OOD detection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import np, pd
from synthood.reporting.figures.base import Data, Figure, Spec, TableData, rounded
from synthood.reporting.figures.results import lines, main_metric, title_of
from synthood.reporting.figures.style import (
    STYLES,
    choice,
    first,
    legend,
    marker,
    marks_by,
    name_panel,
    outer_labels,
    panels,
    without_legend,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

MOST_ROWS = 6
"""Of the picture."""
MOST_POINTS = 4000
"""On a page."""
BOUNDS = ("x", "x_low", "x_high", "y", "y_low", "y_high")


class Accuracy(Figure):
    """Whether a recipe that classifies better also detects better."""

    kind: Literal["accuracy"] = "accuracy"

    title = "Accuracy and detection"
    caption = "ID accuracy against OOD detection by recipe: means over seeds with the table's intervals, in percent."
    section = "Classifier"
    order = 50
    drawn_from = "results"

    def data(self, table: TableData) -> Data:
        settings, metric = table.settings, main_metric(table)
        accuracy = lines(table, "id_accuracy")
        if metric is None or not accuracy:
            return Data(empty="The table has no ID accuracy, or no number of an OOD metric; name both in `columns`.")
        found = lines(table, metric)
        recipes, notes = first(settings.recipes, STYLES, "recipes")
        detectors, left_out = first(settings.detectors, max(1, MOST_POINTS // (2 * len(recipes))), "detectors")
        rows = []
        for dataset in settings.datasets:
            for role in [role for role in ("near", "far") if getattr(settings, role).get(dataset)]:
                for detector in detectors:
                    for recipe in recipes:
                        own, other = accuracy[dataset, "test", recipe, ""], found[dataset, role, recipe, detector]
                        numbers = [one[key] for one in (own, other) for key in ("mean", "low", "high")]
                        key = {"set": settings.named(dataset, role), "detector": detector, "recipe": recipe}
                        rows.append(key | dict(zip(BOUNDS, numbers, strict=True)))
        empty = "" if rows else "No OOD set."
        return Data(pd.DataFrame(rows), {"metric": metric}, [*notes, *left_out], empty)

    def view(self, data: Data) -> Spec:
        recipes, sets, detectors = (list(dict.fromkeys(data.rows[key])) for key in ("recipe", "set", "detector"))
        values = [
            {
                "set": part,
                "detector": detector,
                "recipe": list(own["recipe"]),
                **{b: rounded(own[b], 2) for b in BOUNDS},
            }
            for (part, detector), own in data.rows.groupby(["set", "detector"], sort=False)
        ]
        x = {"type": "quantitative", "title": "ID accuracy, %", "scale": {"zero": False}}
        y = {"type": "quantitative", "title": f"{title_of(data.more['metric'])}, %", "scale": {"zero": False}}
        style = marks_by("recipe", len(recipes))
        quiet = without_legend(style["color"])
        tooltip = [
            {"field": "recipe"},
            {"field": "x", "title": "ID accuracy"},
            {"field": "y", "title": title_of(data.more["metric"])},
        ]
        return {
            "height": 320,
            "data": {"values": values},
            "params": [choice("detector", detectors, "Detector"), choice("set", sets, "Set")],
            "transform": [
                {"filter": "datum.detector == detector && datum.set == set"},
                {"flatten": ["recipe", *BOUNDS]},
            ],
            "layer": [
                {"mark": {"type": "rule", "strokeOpacity": 0.5}, "encoding": {
                    "x": x | {"field": "x_low"}, "x2": {"field": "x_high"}, "y": y | {"field": "y"}, "color": quiet}},
                {"mark": {"type": "rule", "strokeOpacity": 0.5}, "encoding": {
                    "x": x | {"field": "x"}, "y": y | {"field": "y_low"}, "y2": {"field": "y_high"}, "color": quiet}},
                {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                 "encoding": {"x": x | {"field": "x"}, "y": y | {"field": "y"}, "tooltip": tooltip} | style},
            ],
        }  # fmt: skip

    def picture(self, data: Data) -> Picture:
        recipes, sets, detectors = (list(dict.fromkeys(data.rows[key])) for key in ("recipe", "set", "detector"))
        detectors = detectors[:MOST_ROWS]
        image, axes = panels(len(sets), len(detectors), recipes, gap=0.5)
        for row, part in enumerate(sets):
            for column, detector in enumerate(detectors):
                axis = axes[row, column]
                own = data.rows[(data.rows["set"] == part) & (data.rows["detector"] == detector)]
                for place, one in enumerate(own.to_dict("records")):
                    reach = [np.abs([[one[a] - one[f"{a}_low"]], [one[f"{a}_high"] - one[a]]]) for a in "xy"]
                    tone, form = marker(recipes.index(one["recipe"]))
                    look = {"fmt": form, "color": tone, "markersize": 5, "linewidth": 0.8, "zorder": place + 2}
                    axis.errorbar(one["x"], one["y"], reach[1], reach[0], label=one["recipe"], **look)
                low, high = axis.get_ylim()
                # A saturated metric is not told apart by its last digits
                axis.set_ylim(min(low, 99), 100.1 if high >= 100 else high)
                name_panel(axis, row, column, f"{part}, {title_of(data.more['metric'])}", detector)
        outer_labels(image, "ID accuracy, %", "")
        legend(image, axes[0, 0])
        return image

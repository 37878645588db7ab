"""Heat map of detectors by OOD sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import np, pd
from synthood.reporting.figures.base import Data, Figure, Spec, TableData, rounded
from synthood.reporting.figures.results import NO_METRIC, main_metric, means, title_of
from synthood.reporting.figures.style import STYLES, across, choice, first, grid, heat
from synthood.reporting.short_names import CELL, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

MOST_CELLS = 12000
"""On a page."""
MOST_PANELS, MOST_ROWS = 6, 40
"""Of the picture."""


class HeatMap(Figure):
    """Each recipe's results by detector and OOD set."""

    kind: Literal["heat_map"] = "heat_map"

    title = "Detectors by OOD sets"
    caption = "Mean over seeds in percent, for each detector and OOD set; lighter is better."
    section = "Detectors and sets"
    order = 20
    drawn_from = "results"

    def data(self, table: TableData) -> Data:
        settings = table.settings
        metric = main_metric(table)
        if metric is None:
            return Data(empty=NO_METRIC)
        recipes, notes = first(settings.recipes, STYLES, "recipes")
        columns = settings.columns
        room = max(1, MOST_CELLS // (len(recipes) * len(columns)))
        detectors, left_out = first(settings.detectors, room, "detectors")
        found = means(table, metric)
        rows = [
            {
                "recipe": recipe,
                "detector": detector,
                "means": np.array([found.get((*column, recipe, detector), np.nan) for column in columns]),
            }
            for recipe in recipes
            for detector in detectors
        ]
        sets = [settings.named(*column) for column in columns]
        lower = metric in settings.lower_is_better
        return Data(pd.DataFrame(rows), {"sets": sets, "metric": metric, "lower": lower}, [*notes, *left_out])

    def view(self, data: Data) -> Spec:
        low, high = limits(data)
        values = [row | {"means": rounded(row["means"], 2)} for row in data.rows.to_dict("records")]
        recipes = list(dict.fromkeys(data.rows["recipe"]))
        encoding = {
            "x": {"field": "set", "type": "nominal", "sort": None, "title": None, "axis": {"labelAngle": -20}},
            "y": {"field": "detector", "type": "nominal", "sort": None, "title": None},
        }
        scale = {"scheme": "viridis", "domain": [low, high], "reverse": data.more["lower"]}
        colours = {
            "field": "means",
            "type": "quantitative",
            "scale": scale,
            "title": f"{title_of(data.more['metric'])}, %",
        }
        middle = (low + high) / 2
        dark = f"datum.means {'>' if data.more['lower'] else '<'} {middle}"
        return {
            "height": 22 * data.rows["detector"].nunique(),
            "data": {"values": values},
            "params": [choice("recipe", recipes, "Recipe"), {"name": "sets", "value": data.more["sets"]}],
            "transform": [
                {"filter": "datum.recipe == recipe"},
                {"calculate": "sets", "as": "set"},
                {"flatten": ["set", "means"]},
            ],
            "encoding": encoding,
            "layer": [
                {
                    "mark": "rect",
                    "encoding": {
                        "color": colours,
                        "tooltip": [{"field": "detector"}, {"field": "set"}, {"field": "means", "format": ".2f"}],
                    },
                },
                {
                    "mark": {"type": "text", "fontSize": 11},
                    "encoding": {
                        "text": {"field": "means", "type": "quantitative", "format": ".1f"},
                        "color": {"condition": {"test": dark, "value": "white"}, "value": "black"},
                    },
                },
            ],
        }

    def picture(self, data: Data) -> Picture:
        recipes = list(dict.fromkeys(data.rows["recipe"]))[:MOST_PANELS]
        detectors = list(dict.fromkeys(data.rows["detector"]))[:MOST_ROWS]
        sets, (low, high) = data.more["sets"], limits(data)
        wide = across(len(recipes))
        image, axes = grid(
            -(-len(recipes) // wide), wide, width=0.55 * len(sets) + 0.8, height=0.2 * len(detectors) + 0.7
        )
        for place, axis in enumerate(axes.flat):
            if place >= len(recipes):
                axis.set_axis_off()
                continue
            own = data.rows[data.rows["recipe"] == recipes[place]].head(len(detectors))
            values = np.stack(list(own["means"]))
            names = detectors if place % wide == 0 else [""] * len(detectors)
            heat(axis, values, names, sets, *((high, low) if data.more["lower"] else (low, high)))
            axis.set_title(shortened(recipes, CELL)[place], fontsize=9)
        image.suptitle(f"{title_of(data.more['metric'])}, %", fontsize=9)
        return image


def limits(data: Data) -> tuple[float, float]:
    """The range of the colours, wider than nothing."""
    values = np.concatenate(list(data.rows["means"]))
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return (low, high) if high > low else (low - 1, high + 1)

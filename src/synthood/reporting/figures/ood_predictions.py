"""Which ID class accepted OOD images are called."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from synthood.common.lazy import np, pd
from synthood.reporting.figures.base import Data, Figure, Model, Spec, TableData, rounded
from synthood.reporting.figures.classes import class_names
from synthood.reporting.figures.histograms import threshold
from synthood.reporting.figures.style import STYLES, choice, first, grid, heat
from synthood.reporting.short_names import CELL, short, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

MOST_CLASSES = 15
MOST_PANELS = 6
MOST_ROWS = 1000
"""Of classes by set, recipe and detector on a page."""


class OodPredictions(Figure):
    """What accepted OOD images are taken for."""

    kind: Literal["ood_predictions"] = "ood_predictions"

    title = "What accepted OOD images are called"
    caption = (
        "Of all images of an OOD set the percentage that is accepted and called each ID class, at the threshold that "
        "accepts 95 % of ID images: the mean over seeds. A row adds up to FPR95."
    )
    section = "Classes"
    order = 61

    def data(self, table: TableData) -> Data:
        settings = table.settings
        recipes, notes = first(settings.recipes, STYLES, "recipes")
        room = max(1, MOST_ROWS // max(1, len(recipes) * len(settings.columns)))
        detectors, left_out = first(settings.detectors, room, "detectors")
        rows: list[dict[str, Any]] = []
        for dataset in settings.datasets:
            models = {recipe: table.of(dataset, recipe) for recipe in recipes}
            count = 1 + int(max(model.scores["prediction"].max() for each in models.values() for model in each))
            names = class_names(table, dataset, count)
            own: list[dict[str, Any]] = [
                {"detector": detector, "recipe": recipe, "dataset": dataset, "set": part, "shares": found}
                for detector in detectors
                for recipe, each in models.items()
                for part, found in accepted(each, detector, settings.ids(dataset), settings.sets(dataset), len(names))
            ]
            total = np.sum([row["shares"] for row in own], axis=0) if own else np.zeros(len(names))
            shown = sorted(np.argsort(-total, kind="stable")[:MOST_CLASSES].tolist())
            if len(shown) < len(names):
                notes = [*notes, f"Classes of {dataset}: the {MOST_CLASSES} most frequent of {len(names)}."]
            rows += [row | {"classes": [names[i] for i in shown], "shares": row["shares"][shown]} for row in own]
        return Data(pd.DataFrame(rows), {}, [*notes, *left_out], "" if rows else "No OOD set.")

    def view(self, data: Data) -> Spec:
        datasets, detectors, recipes = (list(dict.fromkeys(data.rows[k])) for k in ("dataset", "detector", "recipe"))
        classes = {row["dataset"]: row["classes"] for row in data.rows.to_dict("records")}
        keys = ("dataset", "detector", "recipe", "set")
        values = [
            {key: row[key] for key in keys} | {"shares": rounded(row["shares"])} for row in data.rows.to_dict("records")
        ]
        highest = max(1.0, max(float(shares.max()) for shares in data.rows["shares"]))
        scale = {"scheme": "viridis", "domain": [0, round(highest, 1)]}
        named = " : ".join(f"dataset == {json.dumps(name)} ? classes[{i}]" for i, name in enumerate(classes)) + " : []"
        return {
            "height": 24 * int(data.rows.groupby("dataset")["set"].nunique().max()),
            "data": {"values": values},
            "params": [
                choice("dataset", datasets, "Dataset"),
                choice("detector", detectors, "Detector"),
                choice("recipe", recipes, "Recipe"),
                {"name": "classes", "value": list(classes.values())},
            ],
            "transform": [
                {"filter": "datum.dataset == dataset && datum.detector == detector && datum.recipe == recipe"},
                {"calculate": named, "as": "class"},
                {"flatten": ["class", "shares"]},
            ],
            "encoding": {
                "x": {
                    "field": "class",
                    "type": "nominal",
                    "sort": None,
                    "title": "called",
                    "axis": {"labelAngle": 0, "labelOverlap": True},
                },
                "y": {"field": "set", "type": "nominal", "sort": None, "title": None},
            },
            "layer": [
                {
                    "mark": "rect",
                    "encoding": {
                        "color": {"field": "shares", "type": "quantitative", "scale": scale, "title": "% of the set"},
                        "tooltip": [{"field": "set"}, {"field": "class"}, {"field": "shares", "title": "% of the set"}],
                    },
                },
                {
                    "mark": {"type": "text", "fontSize": 11},
                    "encoding": {
                        "text": {"field": "shares", "type": "quantitative", "format": ".1f"},
                        "color": {
                            "condition": {"test": f"datum.shares < {0.6 * highest:.1f}", "value": "white"},
                            "value": "black",
                        },
                    },
                },
            ],
        }

    def picture(self, data: Data) -> Picture:
        rows = data.rows[data.rows["dataset"] == data.rows["dataset"].iloc[0]]
        detector = rows["detector"].iloc[0]
        rows = rows[rows["detector"] == detector]
        recipes = list(dict.fromkeys(rows["recipe"]))[:MOST_PANELS]
        sets, classes = list(dict.fromkeys(rows["set"])), rows["classes"].iloc[0]
        highest = max(1.0, max(float(shares.max()) for shares in rows["shares"]))
        wide = min(2, len(recipes))
        image, axes = grid(-(-len(recipes) // wide), wide, 0.36 * len(classes) + 1, 0.25 * len(sets) + 0.6)
        for place, axis in enumerate(axes.flat):
            if place >= len(recipes):
                axis.set_axis_off()
                continue
            own = rows[rows["recipe"] == recipes[place]]
            names = sets if place % wide == 0 else [""] * len(sets)
            heat(axis, np.stack(list(own["shares"])), names, classes, 0, highest)
            axis.set_title(shortened(recipes, CELL)[place], fontsize=9)
        image.suptitle(f"{short(detector)}, % of each OOD set accepted", fontsize=9)
        return image


def accepted(
    models: list[Model], detector: str, id_parts: list[str], parts: list[str], classes: int
) -> list[tuple[str, np.ndarray]]:
    """Of each OOD set the percentage accepted as each class [C], the mean over the models."""
    found: dict[str, list[np.ndarray]] = {part: [] for part in parts}
    for model in models:
        least = threshold(model.column(detector, id_parts))
        for part, each in found.items():
            confidence, called = (model.column(name, [part]) for name in (detector, "prediction"))
            each.append(100 * np.bincount(called[confidence >= least], minlength=classes) / len(called))
    return [(part, np.mean(each, axis=0)) for part, each in found.items()]

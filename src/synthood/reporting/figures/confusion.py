"""Confusion matrices of ID classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import np, pd
from synthood.reporting.figures.base import Data, Figure, Spec, TableData
from synthood.reporting.figures.classes import class_names
from synthood.reporting.figures.style import LETTER, STYLES, across, choice, first, grid, heat
from synthood.reporting.short_names import CELL, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

MOST_CLASSES = 25
MOST_PANELS = 6


class Confusion(Figure):
    """Which ID classes are taken for which."""

    kind: Literal["confusion"] = "confusion"

    title = "Confusion of ID classes"
    caption = "Of the ID test images of each class (rows) the percentage predicted as each class, over all seeds."
    section = "Classes"
    order = 60

    def data(self, table: TableData) -> Data:
        settings, notes, rows = table.settings, list[str](), []
        recipes, left_out = first(settings.recipes, STYLES, "recipes")
        for dataset in settings.datasets:
            counted = {}
            for recipe in recipes:
                frames = [model.samples(settings.ids(dataset)) for model in table.of(dataset, recipe)]
                counted[recipe] = pd.concat(frames)[["label", "prediction"]].to_numpy()
            names = class_names(table, dataset, 1 + int(max(pairs.max() for pairs in counted.values())))
            matrices = {recipe: shares(pairs, len(names)) for recipe, pairs in counted.items()}
            shown, note = most_confused(np.sum(list(matrices.values()), axis=0), dataset)
            notes += note
            for recipe, matrix in matrices.items():
                own = [names[index] for index in shown]
                rows.append(
                    {"dataset": dataset, "recipe": recipe, "classes": own, "shares": matrix[np.ix_(shown, shown)]}
                )
        return Data(pd.DataFrame(rows), {}, [*notes, *left_out])

    def view(self, data: Data) -> Spec:
        datasets, recipes = (list(dict.fromkeys(data.rows[key])) for key in ("dataset", "recipe"))
        values = []
        for row in data.rows.to_dict("records"):
            classes, matrix = row["classes"], row["shares"]
            labels, predictions = np.nonzero(np.isfinite(matrix))
            values.append(
                {
                    "dataset": row["dataset"],
                    "recipe": row["recipe"],
                    "label": [classes[i] for i in labels],
                    "prediction": [classes[i] for i in predictions],
                    "share": [round(float(x), 1) for x in matrix[labels, predictions]],
                }
            )
        most = max(len(classes) for classes in data.rows["classes"])
        scale = {"type": "sqrt", "scheme": "viridis", "domain": [0, 100]}
        return {
            "height": 22 * most,
            "data": {"values": values},
            "params": [choice("dataset", datasets, "Dataset"), choice("recipe", recipes, "Recipe")],
            "transform": [
                {"filter": "datum.dataset == dataset && datum.recipe == recipe"},
                {"flatten": ["label", "prediction", "share"]},
            ],
            "encoding": {
                "x": {
                    "field": "prediction",
                    "type": "nominal",
                    "sort": None,
                    "title": "predicted",
                    "axis": {"labelAngle": 0 if most <= 12 else -45},
                },
                "y": {"field": "label", "type": "nominal", "sort": None, "title": "true class"},
            },
            "layer": [
                {
                    "mark": "rect",
                    "encoding": {
                        "color": {"field": "share", "type": "quantitative", "scale": scale, "title": "%"},
                        "tooltip": [{"field": "label"}, {"field": "prediction"}, {"field": "share", "title": "%"}],
                    },
                },
                {
                    "transform": [{"filter": "datum.share > 0"}],
                    "mark": {"type": "text", "fontSize": 11 if most <= 12 else 8},
                    "encoding": {
                        "text": {"field": "share", "type": "quantitative", "format": ".1f"},
                        "color": {"condition": {"test": "datum.share < 36", "value": "white"}, "value": "black"},
                    },
                },
            ],
        }

    def picture(self, data: Data) -> Picture:
        shown = data.rows[data.rows["dataset"] == data.rows["dataset"].iloc[0]].head(MOST_PANELS).to_dict("records")
        wide, titles = across(len(shown)), shortened([one["recipe"] for one in shown], CELL)
        side = max(1.6, 0.3 * len(shown[0]["classes"]))
        room = 0.5 + LETTER * max(0, max(map(len, shortened(shown[0]["classes"], CELL))) - 6)
        image, axes = grid(-(-len(shown) // wide), wide, side + room, side + 0.4)
        for place, axis in enumerate(axes.flat):
            if place >= len(shown):
                axis.set_axis_off()
                continue
            classes = shown[place]["classes"]
            heat(axis, shown[place]["shares"], classes, classes, 0, 100, root=True)
            axis.set_title(titles[place], fontsize=9)
        image.supxlabel("predicted", fontsize=9)
        image.supylabel("true class", fontsize=9)
        return image


def shares(pairs: np.ndarray, classes: int) -> np.ndarray:
    """Percent [C,C] of each label's samples by prediction, of pairs [N,2]; NaN for labels without samples."""
    counts = np.bincount(pairs[:, 0] * classes + pairs[:, 1], minlength=classes**2).reshape(classes, classes)
    with np.errstate(invalid="ignore"):
        return 100 * counts / counts.sum(1, keepdims=True)


def most_confused(matrix: np.ndarray, dataset: str) -> tuple[list[int], list[str]]:
    """The classes that are shown: all, or those with the most errors, in their order."""
    if len(matrix) <= MOST_CLASSES:
        return list(range(len(matrix))), []
    errors = np.nan_to_num(matrix.sum(1) - matrix.diagonal()) + np.nan_to_num(matrix.sum(0) - matrix.diagonal())
    chosen = sorted(np.argsort(-errors, kind="stable")[:MOST_CLASSES].tolist())
    return chosen, [f"Shown are the {MOST_CLASSES} most confused of the {len(matrix)} classes of {dataset}."]

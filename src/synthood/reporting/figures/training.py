"""Training curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import np, pd
from synthood.reporting.figures.base import Data, Figure, Spec, TableData
from synthood.reporting.figures.style import (
    STYLES,
    choice,
    first,
    grid,
    legend,
    line,
    lines_by,
    log_axis,
    name_panel,
    without_legend,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

COLUMNS = {"loss": "training loss", "accuracy": "training accuracy, %", "val_accuracy": "validation accuracy, %"}
MOST_POINTS = 100
"""Epochs of a curve that are shown, evenly spread."""


class Training(Figure):
    """Loss and accuracy over the epochs."""

    kind: Literal["training"] = "training"

    title = "Training curves"
    caption = (
        "Training loss (with all terms of the recipe, so its level differs by recipe), training accuracy and "
        "validation accuracy by epoch: the mean over seeds, and the range of the seeds as a band."
    )
    section = "Training"
    order = 80

    def data(self, table: TableData) -> Data:
        settings = table.settings
        recipes, notes = first(settings.recipes, STYLES, "recipes")
        rows = []
        for dataset in settings.datasets:
            for place, recipe in enumerate(recipes):
                found = [table.histories[dataset, recipe, seed] for seed in settings.seeds]
                found = [history for history in found if not history.empty]  # none of a checkpoint, trained elsewhere
                if not found:
                    continue
                epochs = min(map(len, found))
                points = np.unique(np.linspace(0, epochs - 1, min(epochs, MOST_POINTS)).round().astype(int))
                for column, name in COLUMNS.items():
                    scale = 1 if column == "loss" else 100
                    each = scale * np.stack([history[column].to_numpy(float)[points] for history in found])
                    rows.append(
                        {
                            "dataset": dataset,
                            "recipe": recipe,
                            "place": place,
                            "quantity": name,
                            "epoch": points + 1,
                            "mean": each.mean(0),
                            "low": each.min(0),
                            "high": each.max(0),
                        }
                    )
        return Data(pd.DataFrame(rows), {}, notes, "" if rows else "No recipe of the table was trained here.")

    def view(self, data: Data) -> Spec:
        datasets = list(dict.fromkeys(data.rows["dataset"]))
        arrays = ["epoch", "mean", "low", "high"]
        values = [
            {key: row[key] for key in ("dataset", "recipe", "quantity")}
            | {key: [float(f"{x:.4g}") for x in row[key]] for key in arrays}
            for row in data.rows.to_dict("records")
        ]
        places = dict(zip(data.rows["recipe"], data.rows["place"], strict=True))
        band = {"y2": {"field": "high"}}
        styles = lines_by("recipe", 1 + max(places.values()))
        for channel in styles.values():
            ranges = channel["scale"]["range"]
            channel["scale"] = {"domain": list(places), "range": [ranges[place] for place in places.values()]}
        x = {"field": "epoch", "type": "quantitative", "title": "epoch", "scale": {"zero": False}}
        y = {"type": "quantitative", "title": None, "scale": {"zero": False}}
        tooltip = [{"field": "recipe"}, {"field": "epoch"}, {"field": "mean"}, {"field": "low"}, {"field": "high"}]
        return {
            "height": 300,
            "data": {"values": values},
            "params": [
                choice("dataset", datasets, "Dataset"),
                choice("quantity", list(dict.fromkeys(data.rows["quantity"])), "Quantity"),
            ],
            "transform": [
                {"filter": "datum.dataset == dataset && datum.quantity == quantity"},
                {"flatten": arrays},
            ],
            "layer": [
                {"mark": {"type": "area", "fillOpacity": 0.15}, "encoding": {
                    "x": x, "y": y | {"field": "low"}, "color": without_legend(styles["color"])} | band},
                {"mark": {"type": "line", "strokeWidth": 1.8},
                 "encoding": {"x": x, "y": y | {"field": "mean"}} | styles},
                {"mark": {"type": "point", "fillOpacity": 0, "size": 60, "filled": True},
                 "encoding": {"x": x, "y": y | {"field": "mean"}, "tooltip": tooltip}},
            ],
        }  # fmt: skip

    def picture(self, data: Data) -> Picture:
        datasets = list(dict.fromkeys(data.rows["dataset"]))
        image, axes = grid(len(datasets), len(COLUMNS), width=3.4)
        for row, dataset in enumerate(datasets):
            for column, name in enumerate(COLUMNS.values()):
                axis = axes[row, column]
                own = data.rows[(data.rows["dataset"] == dataset) & (data.rows["quantity"] == name)]
                for one in own.to_dict("records"):
                    style = line(one["place"])
                    axis.plot(one["epoch"], one["mean"], label=one["recipe"], **style)
                    axis.fill_between(
                        one["epoch"], one["low"], one["high"], color=style["color"], alpha=0.15, linewidth=0
                    )
                if name == COLUMNS["loss"] and len(own) and min(low.min() for low in own["low"]) > 0:
                    log_axis(axis.yaxis)
                axis.set_xlabel("epoch", fontsize=8)
                name_panel(axis, row, column, dataset, name)
        legend(image, axes[0, 0])
        return image

"""Reliability of the predicted class's probability on ID images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import np, pd
from synthood.evaluation.metrics.classification import BINS, Ece, right
from synthood.reporting.figures.base import Data, Figure, Spec, TableData, rounded
from synthood.reporting.figures.style import STYLES, choice, first, grid, line, lines_by, name_panel
from synthood.reporting.short_names import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def reliability(frame: pd.DataFrame) -> tuple[Array, float]:
    """Of samples of ID sets by bin of probability, as in `Ece`: counts, sums of probability, and right ones [3,15].

    And the expected calibration error in percent.
    """
    probability = frame["probability"].to_numpy(np.float64)
    position = np.clip(np.ceil(probability * BINS).astype(int) - 1, 0, BINS - 1)
    weights = (np.ones(len(frame)), probability, right(frame))
    sums = np.stack([np.bincount(position, weight, minlength=BINS) for weight in weights]).astype(np.float64)
    error = 100 * float(Ece().of(frame, np.ones((1, len(frame)), np.int32))[0])
    return sums, error


class Calibration(Figure):
    """Whether a predicted probability is the share of right predictions."""

    kind: Literal["calibration"] = "calibration"

    title = "Calibration"
    caption = (
        "Accuracy on ID images against the probability of the predicted class, in 15 bins of equal width, over all "
        "seeds; below the diagonal the classifier is too sure. A point is as large as its share of the images. Numbers "
        "are the expected calibration error (ECE) in percent, the mean over seeds."
    )
    section = "Classifier"
    order = 51

    def data(self, table: TableData) -> Data:
        settings = table.settings
        recipes, notes = first(settings.recipes, STYLES, "recipes")
        rows = []
        for dataset in settings.datasets:
            for recipe in recipes:
                found = [reliability(model.samples(settings.ids(dataset))) for model in table.of(dataset, recipe)]
                counts, sums, correct = np.sum([each for each, _ in found], axis=0)
                there = counts > 0
                rows.append(
                    {
                        "dataset": dataset,
                        "recipe": recipe,
                        "ece": float(np.mean([error for _, error in found])),
                        "probability": 100 * sums[there] / counts[there],
                        "accuracy": 100 * correct[there] / counts[there],
                        "share": 100 * counts[there] / counts.sum(),
                    }
                )
        return Data(pd.DataFrame(rows), {}, notes)

    def view(self, data: Data) -> Spec:
        arrays = ["probability", "accuracy", "share"]
        values = [
            {"dataset": row["dataset"], "recipe": row["recipe"], "label": f"{row['recipe']}  {row['ece']:.1f}"}
            | {key: rounded(row[key], 2) for key in arrays}
            for row in data.rows.to_dict("records")
        ]
        datasets, recipes = (list(dict.fromkeys(data.rows[key])) for key in ("dataset", "recipe"))
        styles = lines_by("label", len(recipes), "ECE, %")
        x = {"field": "probability", "type": "quantitative", "title": "probability of the predicted class, %"}
        y = {"field": "accuracy", "type": "quantitative", "title": "accuracy, %", "scale": {"domain": [0, 100]}}
        tooltip = [{"field": "recipe"}, *({"field": key, "format": ".1f"} for key in arrays)]
        ends = {"x": {"datum": 0}, "y": {"datum": 0}, "x2": {"datum": 100}, "y2": {"datum": 100}}
        size = {"field": "share", "type": "quantitative", "legend": None, "scale": {"range": [10, 200]}}
        return {
            "height": 320,
            "data": {"values": values},
            "params": [choice("dataset", datasets, "Dataset")],
            "transform": [{"filter": "datum.dataset == dataset"}, {"flatten": arrays}],
            "layer": [
                {
                    "data": {"values": [{"a": 0}]},
                    "mark": {"type": "rule", "color": "#808080", "opacity": 0.6, "aria": False},
                    "encoding": ends,
                },
                {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y} | styles},
                {
                    "mark": {"type": "point", "filled": True, "opacity": 1},
                    "encoding": {"x": x, "y": y, "color": styles["color"], "size": size, "tooltip": tooltip},
                },
            ],
        }

    def picture(self, data: Data) -> Picture:
        datasets = list(dict.fromkeys(data.rows["dataset"]))
        image, axes = grid(1, len(datasets), width=3.4, height=3.2)
        for column, dataset in enumerate(datasets):
            axis = axes[0, column]
            axis.plot([0, 100], [0, 100], color="0.8", linewidth=0.8, zorder=0)
            for place, row in enumerate(data.rows[data.rows["dataset"] == dataset].to_dict("records")):
                style = line(place)
                name = f"{short(row['recipe'])}  {row['ece']:.1f}"
                axis.plot(row["probability"], row["accuracy"], label=name, **style)
                axis.scatter(row["probability"], row["accuracy"], s=4 + row["share"] / 2, color=style["color"])
            axis.set(xlim=(0, 101), ylim=(0, 101))
            axis.set_xlabel("probability of the predicted class, %", fontsize=8)
            axis.legend(title="ECE, %", fontsize=7, title_fontsize=7, loc="upper left", frameon=False)
            name_panel(axis, 0, column, "accuracy, %", dataset)
        return image

"""Precision-recall curves with ID as the positive class."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import np
from synthood.reporting.figures.base import Data, Figure, Spec, TableData
from synthood.reporting.figures.curves import curves, names, picture, view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Counts = NDArray[np.integer]


def precision_curve(ids: Counts, oods: Counts, grid: Array) -> tuple[Array, float]:
    """Precision in percent at each recall of a grid in percent, and average precision; ID is the positive class.

    Precision at a recall is that of the highest threshold that reaches it.
    """
    precision, recall = 100 * ids / (ids + oods), 100 * ids / ids[-1]
    area = float((np.diff(recall, prepend=0) * precision).sum()) / 100
    return precision[np.searchsorted(recall, grid - 1e-9)], area


class PrecisionRecall(Figure):
    """Precision against recall."""

    kind: Literal["precision_recall"] = "precision_recall"

    title = "Precision-recall curves"
    caption = (
        "Of the images accepted as ID the share that is ID (precision), against the share of ID images accepted "
        "(recall): the mean over seeds, and the range of the seeds as a band. The rule is the precision of accepting "
        "everything, the share of ID among all images. Numbers are average precision (AUPR-in) in percent."
    )
    section = "Curves"
    order = 32

    def data(self, table: TableData) -> Data:
        grid = np.concatenate([np.linspace(1, 79, 14), np.linspace(82, 100, 19)])
        found = curves(table, partial(precision_curve, grid=grid), grid=grid)
        shares = {}
        for dataset, part in table.settings.columns:
            model = table.of(dataset, table.settings.recipes[0])[0]
            ids, oods = len(model.rows(table.settings.ids(dataset))), len(model.rows([part]))
            shares[table.settings.named(dataset, part)] = 100 * float(ids / (ids + oods))
        return Data(found.rows, {**found.more, "prevalence": shares}, found.notes, found.empty)

    def view(self, data: Data) -> Spec:
        shares = [{"set": name, "prevalence": round(share, 2)} for name, share in data.more["prevalence"].items()]
        baseline = {
            "data": {"values": shares},
            "transform": [{"filter": "datum.set == set"}],
            "mark": {"type": "rule", "color": "#808080", "strokeDash": [2, 2], "aria": False},
            "encoding": {"y": {"field": "prevalence", "type": "quantitative"}},
        }
        low = 10 * np.floor(min(self.least(data), *data.more["prevalence"].values()) / 10)
        x = {"title": "Recall, % of ID accepted", "scale": {"domain": [0, 100]}}
        y = {"title": "Precision, %", "scale": {"domain": [low, 100], "zero": False}}
        return view(data, "AUPR-in, %", x, y, [baseline])

    def least(self, data: Data) -> float:
        """The lowest precision of any curve."""
        return float(min(low.min() for low in data.rows["low"]))

    def picture(self, data: Data) -> Picture:
        low = 10 * np.floor(min(self.least(data), *data.more["prevalence"].values()) / 10)

        def finish(axis: Axes) -> None:
            axis.set(xlim=(0, 100), ylim=(low, 101), xticks=(0, 50, 100))

        image = picture(data, finish, "Recall, % of ID accepted", "Precision, %")
        columns = names(data, "set")
        for place, axis in enumerate(image.axes):
            share = data.more["prevalence"][columns[place % min(len(columns), 6)]]
            axis.axhline(share, color="0.6", linewidth=0.7, linestyle=":", zorder=0)
        return image

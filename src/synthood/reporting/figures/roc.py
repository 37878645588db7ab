"""ROC curves, with a linear and with a logarithmic axis."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import np
from synthood.reporting.figures.base import Data, Figure, Spec, TableData
from synthood.reporting.figures.curves import curves, picture, view
from synthood.reporting.figures.style import log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Counts = NDArray[np.integer]

LEAST = 0.1
"""Percent at which the logarithmic axis begins."""
RECALL = 95.0
X = {"title": "OOD accepted, % (FPR)", "scale": {"domain": [0, 100]}}
Y = {"title": "ID accepted, % (TPR)", "scale": {"domain": [0, 100]}}


def roc_curve(ids: Counts, oods: Counts, grid: Array) -> tuple[Array, float]:
    """Percent of ID accepted at each percent of OOD in a grid, and AUROC in percent, ties half."""
    known, unknown = np.append(0, 100 * ids / ids[-1]), np.append(0, 100 * oods / oods[-1])
    area = float(np.trapezoid(known, unknown)) / 100
    # Of several points above one another the curve passes through the highest
    last = np.append(np.diff(unknown) > 0, True)
    return np.interp(grid, unknown[last], known[last]), area


class Roc(Figure):
    """Receiver operating characteristic."""

    kind: Literal["roc"] = "roc"

    title = "ROC curves"
    caption = (
        "Share of ID images accepted against share of OOD images accepted, over all thresholds: the mean over seeds, "
        "and the range of the seeds as a band. The rule is at 95 % of ID accepted, where FPR95 is read off. "
        "Numbers are AUROC in percent."
    )
    section = "Curves"
    order = 30

    def grid(self) -> Array:
        """Percent of OOD accepted."""
        return np.concatenate([np.linspace(0, 10, 11), np.linspace(12.5, 40, 12), np.linspace(45, 100, 12)])

    def data(self, table: TableData) -> Data:
        grid = self.grid()
        return curves(table, partial(roc_curve, grid=grid), grid=grid)

    def view(self, data: Data) -> Spec:
        chance = {
            "data": {"values": [{"a": 0, "b": 100}]},
            "mark": {"type": "rule", "color": "#808080", "opacity": 0.5, "aria": False},
            "encoding": {"x": {"datum": 0}, "y": {"datum": 0}, "x2": {"datum": 100}, "y2": {"datum": 100}},
        }
        return view(data, "AUROC, %", X, Y, [reached(), chance])

    def picture(self, data: Data) -> Picture:
        return picture(data, finish, str(X["title"]), str(Y["title"]))


class RocLog(Roc):
    """The same where few OOD images are accepted."""

    kind: Literal["roc_log"] = "roc_log"  # type: ignore[assignment]  # a figure of its own

    title = "ROC curves, logarithmic axis"
    caption = Roc.caption + f" The axis begins at {LEAST} % of OOD accepted."
    order = 31

    def grid(self) -> Array:
        return np.geomspace(LEAST, 100, 31)

    def view(self, data: Data) -> Spec:
        x = X | {"scale": {"type": "log", "domain": [LEAST, 100]}}
        return view(data, "AUROC, %", x, Y, [reached()])

    def picture(self, data: Data) -> Picture:
        return picture(data, finish_log, str(X["title"]), str(Y["title"]))


def reached() -> Spec:
    """The line at 95 % of ID accepted."""
    mark = {"type": "rule", "color": "#808080", "strokeDash": [2, 2], "aria": False}
    return {"data": {"values": [{"tpr": RECALL}]}, "mark": mark,
            "encoding": {"y": {"field": "tpr", "type": "quantitative"}}}  # fmt: skip


def finish(axis: Axes) -> None:
    """Chance, the 95 % line, and the axes' range."""
    axis.plot([0, 100], [0, 100], color="0.8", linewidth=0.8, zorder=0)
    axis.axhline(RECALL, color="0.6", linewidth=0.7, linestyle=":", zorder=0)
    axis.set(xlim=(0, 100), ylim=(0, 101), xticks=(0, 50, 100), yticks=(0, 50, 100))


def finish_log(axis: Axes) -> None:
    """The same on a logarithmic axis."""
    axis.axhline(RECALL, color="0.6", linewidth=0.7, linestyle=":", zorder=0)
    log_axis(axis.xaxis, [0.1, 1, 10, 100])
    axis.set(xlim=(LEAST, 100), ylim=(0, 101), yticks=(0, 50, 100))

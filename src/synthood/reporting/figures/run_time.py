"""Run time of the detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from synthood.common.lazy import np, pd
from synthood.reporting.figures.base import Data, Figure, Spec, TableData
from synthood.reporting.figures.style import SMALL, colour, grid, log_axis
from synthood.reporting.short_names import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

MOST = 60


class RunTime(Figure):
    """What a detector costs."""

    kind: Literal["run_time"] = "run_time"

    title = "Run time of the detectors"
    caption = (
        "Seconds of fitting a detector, with its search over hyperparameters, and milliseconds of scoring 1,000 "
        "samples, once features are extracted: medians over the table's models, as measured in the jobs that scored "
        "them. Detectors that share one pass over the training features are each charged for all of it."
    )
    section = "Cost"
    order = 90

    def data(self, table: TableData) -> Data:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in table.settings.detectors}
        for of_run in table.seconds.values():
            for name, of in of_run.items():
                if name in found and of["samples"]:
                    found[name].append((of["fit"], 1e6 * of["score"] / of["samples"]))
        missing = [name for name, each in found.items() if not each]
        rows: list[dict[str, Any]] = [
            {"detector": name} | dict(zip(("fit", "score"), np.median(each, axis=0).tolist(), strict=True))
            for name, each in found.items()
            if each
        ]
        notes = [f"Without a measurement: {', '.join(missing)}."] * bool(missing)
        notes += [f"Shown are the slowest {MOST} of {len(rows)} detectors."] * (len(rows) > MOST)
        rows = sorted(rows, key=lambda row: -row["score"])[:MOST]
        return Data(pd.DataFrame(rows), {}, notes, "" if rows else "No run time was recorded with these scores.")

    def view(self, data: Data) -> Spec:
        values = [
            {"detector": row["detector"], "step": step, "value": float(f"{row[key]:.3g}")}
            for row in data.rows.to_dict("records")
            for key, step in (("fit", FIT), ("score", SCORE))
        ]
        x = {"field": "value", "type": "quantitative", "scale": {"type": "log"}, "title": None}
        tooltip = [{"field": "detector"}, {"field": "step"}, {"field": "value"}]
        return {
            "height": 18 * len(data.rows),
            "data": {"values": values},
            "params": [
                {"name": "step", "value": SCORE, "bind": {"input": "select", "options": [SCORE, FIT], "name": "Of "}}
            ],
            "transform": [{"filter": "datum.step == step && datum.value > 0"}],
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1, "color": colour(0)},
            "encoding": {
                "x": x,
                "y": {"field": "detector", "type": "nominal", "sort": None, "title": None},
                "tooltip": tooltip,
            },
        }

    def picture(self, data: Data) -> Picture:
        image, axes = grid(1, 2, width=3.4, height=0.18 * len(data.rows) + 0.6)
        places = np.arange(len(data.rows))[::-1]
        for axis, key, name in zip(axes[0], ("fit", "score"), (FIT, SCORE), strict=True):
            values = np.maximum(data.rows[key].to_numpy(), 1e-4)
            axis.scatter(values, places, color=colour(0), s=16)
            log_axis(axis.xaxis)
            axis.set_yticks(places, shortened(list(data.rows["detector"])) if key == "fit" else [""] * len(places))
            axis.set_xlabel(name, fontsize=8)
            axis.grid(axis="x", color="0.9", linewidth=0.6)
            axis.tick_params(labelsize=SMALL)
        return image


FIT, SCORE = "fitting, s", "scoring 1,000 samples, ms"

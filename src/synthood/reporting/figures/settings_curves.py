"""Results over a setting that recipes or datasets of the table vary: alpha, images per class, and others."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import np, pd
from synthood.reporting.figures.base import Data, Figure, Spec, TableData, rounded
from synthood.reporting.figures.results import NO_METRIC, lines, main_metric, title_of
from synthood.reporting.figures.style import (
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
from synthood.reporting.short_names import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure as Picture

MOST_DETECTORS = 20
MOST_RECIPES = 6
"""On datasets, where each has a panel of its own."""


def geometric(values: Sequence[float]) -> bool:
    """Whether values lie more evenly on a logarithmic axis than on a linear one."""
    points = np.unique(np.asarray(values, np.float64))
    if len(points) < 3 or points[0] <= 0:
        return False

    def unevenness(places: np.ndarray) -> float:
        gaps = np.diff(places)
        return float(gaps.max() / gaps.min())

    return unevenness(points) > max(1.5, unevenness(np.log(points)))


class SettingsCurves(Figure):
    """How results change with a setting."""

    kind: Literal["settings_curves"] = "settings_curves"

    title = "Results over a setting"
    caption = (
        "Results of recipes, or on datasets, that differ in one setting alone, over its values: means over seeds with "
        "the table's intervals. Rules are the baselines."
    )
    section = "Gains"
    order = 15
    drawn_from = "results"

    def data(self, table: TableData) -> Data:
        settings, metric = table.settings, main_metric(table)
        if not settings.varied and not settings.varied_by_datasets:
            return Data(empty="No three recipes or datasets of the table differ in a single setting alone.")
        if metric is None:
            return Data(empty=NO_METRIC)
        found = lines(table, metric)
        detectors, notes = first(settings.detectors, MOST_DETECTORS, "detectors")
        rows = []
        for key, recipes in settings.varied.items():
            for dataset in settings.datasets:
                for role in [role for role in ("near", "far") if getattr(settings, role).get(dataset)]:
                    for place, detector in enumerate(detectors):
                        order = sorted(recipes, key=recipes.__getitem__)
                        own = [found[dataset, role, recipe, detector] for recipe in order]
                        bases = [b for b in settings.baselines if b not in recipes]
                        rows.append(
                            {
                                "setting": key,
                                "set": settings.named(dataset, role),
                                "detector": detector,
                                "place": place,
                                "recipe": order,
                                "x": [recipes[recipe] for recipe in order],
                                **{name: [one[name] for one in own] for name in ("mean", "low", "high")},
                                "bases": {b: found[dataset, role, b, detector]["mean"] for b in bases},
                            }
                        )
        shown, more = first(settings.recipes, MOST_RECIPES, "recipes") if settings.varied_by_datasets else ([], [])
        notes = [*notes, *more]
        for key, values in settings.varied_by_datasets.items():
            order = sorted(values, key=values.__getitem__)
            roles = [role for role in ("near", "far") if all(getattr(settings, role).get(one) for one in order)]
            for role, recipe, (place, detector) in product(roles, shown, list(enumerate(detectors))):
                own = [found[dataset, role, recipe, detector] for dataset in order]
                rows.append(
                    {
                        "setting": f"{key}, {recipe}",
                        "set": role,
                        "detector": detector,
                        "place": place,
                        "recipe": order,
                        "x": [values[dataset] for dataset in order],
                        **{name: [one[name] for one in own] for name in ("mean", "low", "high")},
                        "bases": {},
                    }
                )
        return Data(pd.DataFrame(rows), {"metric": metric}, notes, "" if rows else "No OOD set.")

    def view(self, data: Data) -> Spec:
        keys, sets, detectors = (list(dict.fromkeys(data.rows[k])) for k in ("setting", "set", "detector"))
        arrays = ["recipe", "x", "mean", "low", "high"]
        values, bases = [], []
        for row in data.rows.to_dict("records"):
            key = {name: row[name] for name in ("setting", "set", "detector")}
            log = geometric(row["x"])
            x = [float(np.log10(v)) if log else v for v in row["x"]]
            values.append(key | {"recipe": row["recipe"], "value": row["x"], "x": rounded(x, 4), "log": log}
                          | {name: rounded(row[name], 2) for name in ("mean", "low", "high")})  # fmt: skip
            bases += [key | {"base": name, "mean": round(mean, 2)} for name, mean in row["bases"].items()]
        here = {"filter": "datum.setting == setting && datum.set == set"}
        styles = lines_by("detector", len(detectors))
        logs = {row["setting"]: row["log"] for row in values}
        logarithmic = " || ".join(f"setting == {json.dumps(key)}" for key, is_log in logs.items() if is_log) or "false"
        axis = {
            "values": {"expr": "ticks[setting]"},
            "labelExpr": f"({logarithmic}) ? format(pow(10, datum.value), '.4~r') : format(datum.value, '.4~r')",
            "labelOverlap": True,
        }
        ticks = {row["setting"]: row["x"] for row in values}
        x_channel = {"field": "x", "type": "quantitative", "title": "value of the setting", "axis": axis}
        x_channel |= {"scale": {"zero": False, "nice": False, "padding": 10}}
        y = {"type": "quantitative", "title": f"{title_of(data.more['metric'])}, %", "scale": {"zero": False}}
        tooltip = [{"field": "detector"}, {"field": "recipe", "title": "of"}, {"field": "value", "title": "setting"}]
        tooltip += [{"field": name, "format": ".2f"} for name in ("mean", "low", "high")]
        return {
            "height": 300,
            "params": [
                choice("setting", keys, "Setting"),
                choice("set", sets, "Set"),
                {"name": "ticks", "value": ticks},
            ],
            "layer": [
                {
                    "data": {"values": values},
                    "transform": [here, {"flatten": [*arrays, "value"]}],
                    "layer": [
                        {"mark": {"type": "rule", "strokeOpacity": 0.5}, "encoding": {
                            "x": x_channel, "y": y | {"field": "low"}, "y2": {"field": "high"},
                            "color": without_legend(styles["color"])}},
                        {"mark": {"type": "line", "strokeWidth": 1.8},
                         "encoding": {"x": x_channel, "y": y | {"field": "mean"}} | styles},
                        {"mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
                         "encoding": {"x": x_channel, "y": y | {"field": "mean"}, "tooltip": tooltip,
                                      "color": without_legend(styles["color"])}},
                    ],
                },
                {
                    "data": {"values": bases},
                    "transform": [here],
                    "mark": {"type": "rule", "strokeOpacity": 0.7},
                    "encoding": {
                        "y": y | {"field": "mean"},
                        "color": without_legend(styles["color"]),
                        "strokeDash": {"value": [2, 2]},
                        "tooltip": [{"field": "base"}, {"field": "detector"}, {"field": "mean", "format": ".2f"}],
                    },
                },
            ],
        }  # fmt: skip

    def picture(self, data: Data) -> Picture:
        keys, sets = (list(dict.fromkeys(data.rows[k])) for k in ("setting", "set"))
        image, axes = grid(len(sets), len(keys), width=3.4, height=2.6)
        for row, part in enumerate(sets):
            for column, key in enumerate(keys):
                axis = axes[row, column]
                own = data.rows[(data.rows["set"] == part) & (data.rows["setting"] == key)].to_dict("records")
                if not own:
                    axis.set_axis_off()
                    continue
                for one in own:
                    style, mean = line(one["place"]), np.array(one["mean"])
                    reach = np.abs([mean - one["low"], np.array(one["high"]) - mean])
                    axis.errorbar(one["x"], mean, reach, label=one["detector"], marker="o", markersize=3, **style)
                    for base in one["bases"].values():
                        axis.axhline(base, color=style["color"], linewidth=0.6, linestyle=":")
                points = sorted(set(own[0]["x"]))
                if geometric(points):
                    log_axis(axis.xaxis, points)
                axis.set_xticks(points, [f"{x:g}" for x in points])
                axis.set_xlabel(short(key, 40), fontsize=8)
                name_panel(axis, row, column, f"{part}, {title_of(data.more['metric'])}", "")
        legend(image, axes[0, 0])
        return image

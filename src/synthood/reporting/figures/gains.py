"""Forest plot of the gains over the baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from synthood.common.lazy import np, pd
from synthood.reporting.figures.base import Data, Figure, Spec, TableData
from synthood.reporting.figures.results import title_of
from synthood.reporting.figures.style import BETTER, NEUTRAL, SMALL, WORSE, choice, grid, legend
from synthood.reporting.short_names import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

MOST_ROWS = 60
"""Of a panel of the picture."""
MOST_GAINS = 4000
"""On a page."""
WORDS = {"better": "significantly better", "worse": "significantly worse", "none": "not significant", "": "not tested"}
MARKS = {"better": (BETTER, "^"), "worse": (WORSE, "v"), "none": (NEUTRAL, "o"), "": (NEUTRAL, "o")}
SHAPES = {"better": "triangle-up", "worse": "triangle-down", "none": "circle", "": "circle"}


class Gains(Figure):
    """Gains over the baselines with their intervals."""

    kind: Literal["gains"] = "gains"

    title = "Gains over the baseline"
    caption = (
        "Gain over the baseline in points with its interval, as in the table; where lower is better, a negative gain "
        "is the better one. Filled: tested and significant by Holm's correction over the table's comparisons, better "
        "(triangle up) or worse (triangle down). Hollow: not significant or, as the tooltip says, not tested."
    )
    section = "Gains"
    order = 10
    drawn_from = "results"

    def data(self, table: TableData) -> Data:
        rows = table.gains
        if rows.empty:
            return Data(empty="The table names no baseline, so it has no gains.")
        rows = rows[rows["detector"] == rows["base_detector"]]
        rows = rows[rows["gain"].notna()].reset_index(drop=True)
        if rows.empty:
            return Data(empty="No recipe and baseline have a seed in common.")
        many = rows["base"].nunique() > 1
        where = rows["set"]
        if len(table.settings.datasets) > 1:
            where = rows["dataset"] + ": " + where
        alone = table.settings.alone
        rows = rows.assign(
            where=where,
            role=rows["set"],
            label=rows["recipe"] + (" - " + rows["base"] if many else ""),
            verdict=[verdict(line, table) for line in rows.to_dict("records")],
        )
        seen: set[frozenset[str]] = set()
        shown = [
            (line["dataset"], line["set"]) not in alone and not mirrored(line, seen) for line in rows.to_dict("records")
        ]
        rows = rows[shown]
        first_rows = rows.head(MOST_GAINS)
        notes = [f"Shown are the first {MOST_GAINS} of {len(rows)} gains."] * (len(rows) > MOST_GAINS)
        return Data(first_rows, {"confidence": table.settings.confidence}, notes)

    def view(self, data: Data) -> Spec:
        rows = data.rows
        values: list[dict[str, Any]] = [
            {
                "shown": f"{title_of(str(metric))}, {where}",
                "detector": list(own["detector"]),
                "label": list(own["label"]),
                "gain": [round(x, 2) for x in own["gain"]],
                "low": [round(x, 2) for x in own["low"]],
                "high": [round(x, 2) for x in own["high"]],
                "p": [round(x, 4) for x in own["p"]],
                "verdict": [WORDS[x] for x in own["verdict"]],
            }
            for (metric, where), own in ordered(rows).groupby(["metric", "where"], sort=False)
        ]
        arrays = ["detector", "label", "gain", "low", "high", "p", "verdict"]
        kinds = [kind for kind in WORDS if kind in set(rows["verdict"])]
        by = {"field": "verdict", "type": "nominal"}
        colours = by | {"scale": {"domain": [WORDS[k] for k in kinds], "range": [MARKS[k][0] for k in kinds]}}
        shapes = by | {"scale": {"domain": [WORDS[k] for k in kinds], "range": [SHAPES[k] for k in kinds]}}
        legend: dict[str, Any] = {"legend": {"title": None, "orient": "top"}}
        y = {"field": "label", "type": "nominal", "sort": None, "title": None}
        tooltip = [{"field": "label", "title": "gain of"}, {"field": "detector"}, {"field": "gain", "format": "+.2f"}]
        tooltip += [{"field": "low", "format": "+.2f"}, {"field": "high", "format": "+.2f"}]
        tooltip += [{"field": "verdict", "title": "test"}, {"field": "p", "title": "p (Holm)"}]
        x = {"type": "quantitative", "title": "gain, points"}
        filled = " || ".join(f"datum.verdict == '{WORDS[kind]}'" for kind in ("better", "worse"))
        return {
            "data": {"values": values},
            "params": [
                choice("shown", [value["shown"] for value in values], "Gain in"),
            ],
            "transform": [
                {"filter": "datum.shown == shown"},
                {"flatten": arrays},
                {
                    "calculate": "datum.detector ? datum.label + ' (' + datum.detector + ')' : datum.label",
                    "as": "label",
                },
            ],
            "height": 16 * max(len(value["gain"]) for value in values),
            "encoding": {"y": y, "tooltip": tooltip},
            "layer": [
                {
                    "mark": {"type": "rule", "color": "#808080", "aria": False},
                    "encoding": {"x": {"datum": 0}, "y": {"value": "height"}, "y2": {"value": 0}},
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 1.5},
                    "encoding": {
                        "x": x | {"field": "low"},
                        "x2": {"field": "high"},
                        "color": colours,
                    },
                },
                {
                    "mark": {"type": "point", "size": 60, "filled": True, "opacity": 1},
                    "encoding": {
                        "x": x | {"field": "gain"},
                        "color": colours | legend,
                        "shape": shapes | legend,
                        "fillOpacity": {"condition": {"test": filled, "value": 1}, "value": 0},
                        "stroke": colours,
                    },
                },
            ],
        }

    def picture(self, data: Data) -> Picture:
        rows = ordered(data.rows)
        metric = rows["metric"].iloc[0]
        rows = rows[rows["metric"] == metric]
        named = list(dict.fromkeys(rows["where"]))
        roles = [name for name in named if name.rpartition(": ")[2] in ROLES] or named[:1]
        panels = [rows[rows["where"] == role].head(MOST_ROWS) for role in roles]
        most = max(map(len, panels))
        image, axes = grid(1, len(panels), width=3.6, height=0.16 * most + 0.5)
        for axis, own, role in zip(axes[0], panels, roles, strict=True):
            places = np.arange(len(own))[::-1]
            for kind, (tone, form) in MARKS.items():
                here = (own["verdict"] == kind).to_numpy()
                if here.any():
                    x, y = own["gain"][here], places[here]
                    reach = [x - own["low"][here], own["high"][here] - x]
                    face = tone if kind in ("better", "worse") else "white"
                    axis.errorbar(x, y, xerr=np.abs(reach), fmt=form, color=tone, markerfacecolor=face, markersize=4,
                                  linewidth=1, label=WORDS[kind])  # fmt: skip
            axis.axvline(0, color="0.5", linewidth=0.8, zorder=0)
            named = [f"{short(one['label'], 36)}  {short(one['detector'])}".strip() for one in own.to_dict("records")]
            axis.set_yticks(places, named if axis is axes[0, 0] else [""] * len(named), fontsize=SMALL)
            axis.set_ylim(-0.7, len(own) - 0.3)
            axis.tick_params(labelsize=SMALL)
            axis.set_title(role, fontsize=9)
            axis.grid(axis="x", color="0.92", linewidth=0.6)
            axis.set_axisbelow(True)
        legend(image, *axes[0])
        image.supxlabel(f"gain in {title_of(metric)}, points", fontsize=9)
        return image


ROLES = ("near", "far")


def ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """AUROC before other metrics, near and far before single sets, metrics of the classifier last."""
    single = ~rows["role"].isin(ROLES)
    keys = pd.DataFrame({"test": rows["role"] == "test", "metric": rows["metric"] != "auroc", "single": single})
    order = keys.assign(place=rows["metric"].factorize()[0]).sort_values(
        ["test", "metric", "place", "single"], kind="stable"
    )
    return rows.loc[order.index]


def mirrored(line: dict[Any, Any], seen: set[frozenset[str]]) -> bool:
    """Whether a gain is that of two recipes whose other way round has come before, as in the table's sentences."""
    pair = {f"recipe {line['recipe']}", f"recipe {line['base']}"}
    key = frozenset([*pair, *(f"{name} {line[name]}" for name in ("dataset", "detector", "set", "metric"))])
    found = key in seen
    seen.add(key)
    return found


def verdict(line: dict[Any, Any], table: TableData) -> str:
    """Of a test at the level that the confidence leaves: better, worse, none, or empty where nothing was tested."""
    if pd.isna(line["p"]):
        return ""
    if line["p"] >= round(1 - table.settings.confidence, 12):
        return "none"
    return "better" if (line["gain"] > 0) != (line["metric"] in table.settings.lower_is_better) else "worse"

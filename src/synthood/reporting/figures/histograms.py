"""Histograms of confidence with the threshold that accepts 95 % of ID images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from synthood.common.lazy import np, pd
from synthood.evaluation.metrics.rates import RECALL
from synthood.reporting.figures.base import Data, Figure, Spec, TableData, rounded
from synthood.reporting.figures.style import (
    STYLES,
    choice,
    colour,
    dash,
    first,
    legend,
    lines_by,
    name_panel,
    outer_labels,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BINS = 40
TAILS = 0.5
"""Percent of ID images at each end that do not count for their range."""
REACH = 3
"""How many times the range of ID images the axis goes beyond them."""
MOST_LINES = 1600
"""Of sets, recipes and detectors on a page."""
MOST_ROWS, MOST_COLUMNS = 6, 6
SMALLEST = 1e-7
"""How near 0 and 1 a probability is told apart from them: float32's own step below 1."""


def shown(values: Array, odds: bool) -> Array:
    """Confidences on the scale of the figure: log odds (base 10) of probabilities, others as they are."""
    values = np.asarray(values, np.float64)
    if not odds:
        return values
    inside = np.clip(values, SMALLEST, 1 - SMALLEST)
    return np.log10(inside / (1 - inside))


def are_probabilities(values: Array) -> bool:
    """Whether all confidences lie in [0,1], so that log odds spread out what crowds at the ends."""
    return bool(((values >= 0) & (values <= 1)).all())


def threshold(ids: Array) -> float:
    """The highest confidence that at least 95 % of ID images reach, as for FPR95."""
    return float(np.sort(ids)[len(ids) - int(np.ceil((RECALL - 1e-12) * len(ids)))])


class Histograms(Figure):
    """Where the confidences of ID and OOD images lie."""

    kind: Literal["histograms"] = "histograms"

    title = "Scores"
    caption = (
        "Confidence (larger: more ID) of ID test images, filled, and OOD sets, lines: share of each set's images per "
        "bin, of the first seed. Left of the rule is what is rejected where 95 % of ID is accepted. Confidences that "
        "are all between 0 and 1 are shown as log odds, log10(p / (1 - p)). Percentages at the ends of a panel are of "
        "the sets of their colour that go on there."
    )
    section = "Scores"
    order = 40

    def data(self, table: TableData) -> Data:
        settings = table.settings
        recipes, notes = first(settings.recipes, STYLES, "recipes")
        lines = sum(len(settings.ids(name)) + len(settings.sets(name)) for name in settings.datasets)
        room = max(1, MOST_LINES // (len(recipes) * lines))
        detectors, left_out = first(settings.detectors, room, "detectors")
        rows: list[dict[str, Any]] = []
        beyond = 0.0
        for dataset in settings.datasets:
            parts = [*settings.ids(dataset), *settings.sets(dataset)]
            models = {recipe: table.of(dataset, recipe)[0] for recipe in recipes}
            for detector in detectors:
                odds = all(are_probabilities(model.scores[detector].to_numpy()) for model in models.values())
                for recipe, model in models.items():
                    sets = {part: shown(model.column(detector, [part]), odds) for part in parts}
                    ids = np.concatenate([sets[part] for part in settings.ids(dataset)])
                    edges = edges_of(ids, np.concatenate(list(sets.values())))
                    for part, values in sets.items():
                        below, above = (100 * float(x.mean()) for x in (values < edges[0], values > edges[-1]))
                        beyond = max(beyond, below, above)
                        share = np.histogram(values, edges)[0] / len(values)
                        rows.append(
                            {
                                "dataset": dataset,
                                "detector": detector,
                                "recipe": recipe,
                                "set": part,
                                "role": "ID" if part in settings.ids(dataset) else "OOD",
                                "odds": odds,
                                "edges": edges,
                                "share": 100 * share,
                                "threshold": threshold(ids),
                                "below": below,
                                "above": above,
                            }
                        )
        notes += left_out
        if beyond:
            notes.append(f"Beyond the axes, whose range is that of ID images, is up to {beyond:.1f} % of a set.")
        return Data(pd.DataFrame(rows), {"datasets": settings.datasets}, notes)

    def view(self, data: Data) -> Spec:
        rows = data.rows
        datasets, detectors, recipes = (list(dict.fromkeys(rows[key])) for key in ("dataset", "detector", "recipe"))
        values = [
            {
                "dataset": row["dataset"],
                "detector": row["detector"],
                "recipe": row["recipe"],
                "set": row["set"],
                "role": row["role"],
                "low": float(f"{row['edges'][0]:.5g}"),
                "step": float(f"{row['edges'][1] - row['edges'][0]:.5g}"),
                "threshold": float(f"{row['threshold']:.5g}"),
                "axis": "log10(p / (1 - p))" if row["odds"] else "confidence",
                "below": round(row["below"], 1),
                "above": round(row["above"], 1),
                "share": rounded(row["share"]),
            }
            for row in rows.to_dict("records")
        ]
        sets = max(len(set(rows.loc[rows["dataset"] == name, "set"])) for name in datasets)
        styles = lines_by("set", sets)
        x = {"type": "quantitative", "title": "confidence (larger: more ID)", "scale": {"zero": False, "nice": False}}
        y = {"field": "share", "type": "quantitative", "title": "% of the set per bin", "stack": None}
        tooltip = [{"field": "set"}, {"field": "left", "title": "from", "format": ".3~g"}]
        tooltip += [{"field": "right", "title": "to", "format": ".3~g"}, {"field": "share", "title": "% of the set"}]
        tooltip += [{"field": "axis", "title": "scale"}, {"field": "below", "title": "% left of the axis"}]
        tooltip += [{"field": "above", "title": "% right of the axis"}]
        return {
            "height": 260,
            "data": {"values": values},
            "params": [
                choice("dataset", datasets, "Dataset"),
                choice("detector", detectors, "Detector"),
                choice("recipe", recipes, "Recipe"),
                {"name": "bins", "value": list(range(BINS))},
            ],
            "transform": [
                {"filter": "datum.dataset == dataset && datum.detector == detector && datum.recipe == recipe"},
                {"calculate": "bins", "as": "bin"},
                {"flatten": ["bin", "share"]},
                {"calculate": "datum.low + datum.bin * datum.step", "as": "left"},
                {"calculate": "datum.left + datum.step", "as": "right"},
                {"calculate": "datum.left + datum.step / 2", "as": "middle"},
            ],
            "layer": [
                {
                    "transform": [{"filter": "datum.role == 'ID'"}],
                    "mark": {"type": "bar", "fillOpacity": 0.35, "binSpacing": 0},
                    "encoding": {
                        "x": x | {"field": "left", "bin": "binned"},
                        "x2": {"field": "right"},
                        "y": y,
                        "color": styles["color"],
                        "tooltip": tooltip,
                    },
                },
                {
                    "mark": {"type": "line", "interpolate": "step", "strokeWidth": 1.5},
                    "encoding": {"x": x | {"field": "middle"}, "y": y, "tooltip": tooltip} | styles,
                },
                {
                    "transform": [{"aggregate": [{"op": "min", "field": "axis", "as": "axis"}]}],
                    "mark": {"type": "text", "align": "right", "x": "width", "y": 10},
                    "encoding": {"text": {"field": "axis"}},
                },
                {
                    "transform": [{"aggregate": [{"op": "min", "field": "threshold", "as": "threshold"}]}],
                    "mark": {"type": "rule", "color": "currentColor", "strokeDash": [2, 2]},
                    "encoding": {
                        "x": {"field": "threshold", "type": "quantitative"},
                        "tooltip": {"field": "threshold", "title": "accepts 95 % of ID", "type": "quantitative"},
                    },
                },
            ],
        }

    def picture(self, data: Data) -> Picture:
        rows = data.rows[data.rows["dataset"] == data.more["datasets"][0]]
        detectors = list(dict.fromkeys(rows["detector"]))[:MOST_ROWS]
        recipes = list(dict.fromkeys(rows["recipe"]))[:MOST_COLUMNS]
        image, axes = panels(len(detectors), len(recipes), list(dict.fromkeys(rows["set"])), gap=0.28)
        for row, detector in enumerate(detectors):
            for column, recipe in enumerate(recipes):
                axis = axes[row, column]
                own = rows[(rows["detector"] == detector) & (rows["recipe"] == recipe)].to_dict("records")
                for place, one in enumerate(own):
                    lengths = dash(place)
                    style: dict[str, Any] = {"color": colour(place), "label": one["set"], "linewidth": 1.1}
                    if one["role"] == "ID":
                        style = {"facecolor": colour(place), "alpha": 0.4, "fill": True, "label": one["set"]}
                    elif lengths:
                        style["linestyle"] = (0, lengths)
                    axis.stairs(one["share"], one["edges"], **style)
                axis.axvline(own[0]["threshold"], color="0.2", linewidth=0.9, linestyle=":")
                write_tails(axis, own)
                axis.set_yticks([])
                axis.locator_params(axis="x", nbins=4)
                name = f"{detector}, log odds" if own[0]["odds"] else detector
                name_panel(axis, row, column, name, recipe)
        outer_labels(image, "confidence (larger: more ID); dotted: accepts 95 % of ID", "")
        legend(image, axes[0, 0])
        return image


def edges_of(ids: Array, values: Array) -> Array:
    """Edges of the bins: where all values lie, but no farther from ID images than three times their range.

    Else a few distant OOD images would press all others into one bin.
    """
    first, last = np.percentile(ids, [TAILS, 100 - TAILS])
    reach = REACH * (last - first)
    low, high = max(values.min(), first - reach), min(values.max(), last + reach)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def write_tails(axis: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """The shares beyond the ends of the axis, in the colours of their sets, where they are 1 % or more."""
    for key, x, align in (("below", 0.03, "left"), ("above", 0.97, "right")):
        shown = [(place, row[key]) for place, row in enumerate(rows) if row[key] >= 1]
        for number, (place, share) in enumerate(shown[:5]):
            text = f"\u2039 {share:.0f} %" if key == "below" else f"{share:.0f} % \u203a"
            look: dict[str, Any] = {"ha": align, "va": "top", "fontsize": 6, "color": colour(place)}
            axis.text(x, 0.97 - 0.085 * number, text, transform=axis.transAxes, **look)

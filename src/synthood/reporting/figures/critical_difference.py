"""Mean ranks over OOD sets, with cliques that do not differ by Friedman's test and Conover's with Holm's correction.

Demsar, JMLR 2006 (diagram); Conover, Practical Nonparametric Statistics, 3rd edition, section 5.8 (tests).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import lazy, np, pd
from synthood.reporting.figures.base import Data, Figure, PlotSettings, Spec, TableData
from synthood.reporting.figures.results import NO_METRIC, main_metric, means, title_of
from synthood.reporting.figures.style import choice, colour, new_picture
from synthood.reporting.short_names import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture
    from numpy.typing import NDArray
    from scipy import stats
else:
    stats = lazy("scipy.stats")

LEVEL = 0.05
MOST = 40
"""Names of a panel: the best."""
Areas = Mapping[tuple[str, str, str, str], float]
"""By dataset, set, recipe and detector."""


@dataclass(frozen=True)
class Ranks:
    """Mean ranks [K] of K named things over N blocks, 1 the best; Friedman's p-value, and the critical difference.

    Two whose mean ranks differ by less than `critical` do not differ significantly (5 %); infinite where none do.
    """

    names: list[str]
    ranks: NDArray[np.float64]
    blocks: int
    p: float
    critical: float

    @classmethod
    def of(cls, values: NDArray[np.float64], names: Sequence[str]) -> Ranks:
        """From values [N,K], larger is better; ties share their mean rank."""
        blocks, count = values.shape
        ranks = stats.rankdata(-values, axis=1)
        spread = ((ranks - (count + 1) / 2) ** 2).sum()
        between = blocks * ((ranks.mean(0) - (count + 1) / 2) ** 2).sum()
        statistic = blocks * (count - 1) * between / spread if spread else 0.0
        p = float(stats.chi2.sf(statistic, count - 1))
        critical = least_significant(ranks) if p < LEVEL else np.inf
        return cls(list(names), ranks.mean(0), blocks, p, critical)

    def cliques(self) -> list[tuple[float, float]]:
        """The longest runs, from one mean rank to another, of which no two differ significantly."""
        order = np.sort(self.ranks)
        found: list[tuple[float, float]] = []
        for start in order:
            end = float(order[order - start < self.critical].max())
            if end > start and (not found or end > found[-1][1]):
                found.append((float(start), end))
        return found


def least_significant(ranks: NDArray[np.float64]) -> float:
    """The least difference of two mean ranks, of ranks [N,K], that is significant; infinite where none is.

    Conover's t = |R_i - R_j| / sqrt(2 N (sum r^2 - sum R_j^2 / N) / ((N - 1)(K - 1))), R_j a sum of ranks, with
    (N - 1)(K - 1) degrees of freedom. It grows with the difference alone, so that Holm rejects the largest ones.
    """
    blocks, count = ranks.shape
    freedom, sums = (blocks - 1) * (count - 1), ranks.sum(0)
    if freedom == 0:
        return np.inf
    left = (ranks**2).sum() - (sums**2).sum() / blocks
    error = np.sqrt(max(2 * blocks * left / freedom, 0.0))
    first, second = np.triu_indices(count, 1)
    differences = np.sort(np.abs(sums[first] - sums[second]))[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):  # without an error, equal ranks are 0 / 0
        p = np.nan_to_num(2 * stats.t.sf(differences / error, freedom), nan=1.0)
    accepted = np.flatnonzero(p * np.arange(len(p), 0, -1) >= LEVEL)
    rejected = differences[: accepted[0] if len(accepted) else None]
    # A difference of two mean ranks may be rounded below that of their sums
    return float(rejected[-1]) / blocks * (1 - 1e-9) if len(rejected) else np.inf


def ranks_of(areas: Areas, settings: PlotSettings) -> tuple[list[tuple[str, Ranks]], list[str]]:
    """Recipes over sets and detectors, and detectors over sets and recipes, where there are two or more.

    Sentences say which have no number at all, and how many blocks are left out for want of a number.
    """
    sets = list(dict.fromkeys((dataset, part) for dataset, part, _, _ in areas))
    recipes = [[areas[*s, r, d] for r in settings.recipes] for s, d in product(sets, settings.detectors)]
    detectors = [[areas[*s, r, d] for d in settings.detectors] for s, r in product(sets, settings.recipes)]
    panels = [
        (f"recipes, over {len(sets)} sets x {len(settings.detectors)} detectors", settings.recipes, recipes),
        (f"detectors, over {len(sets)} sets x {len(settings.recipes)} recipes", settings.detectors, detectors),
    ]
    found, notes = list[tuple[str, Ranks]](), list[str]()
    for title, names, rows in panels:
        there = np.isfinite(np.array(rows))
        ranked = np.flatnonzero(there.any(0))
        values = np.array(rows)[there[:, ranked].all(1)][:, ranked]
        if missing := [name for place, name in enumerate(names) if place not in ranked]:
            notes.append(f"Without a number: {', '.join(missing)}.")
        if len(ranked) > 1 and len(values) < len(rows):
            lost, what = len(rows) - len(values), title.partition(",")[0]
            notes.append(f"Ranks of {what} are without {lost} of {len(rows)} places, where a number is missing.")
        if len(ranked) > 1 and len(values):
            found.append((title, Ranks.of(values, [names[place] for place in ranked])))
    return found, notes


class CriticalDifference(Figure):
    """Mean ranks of recipes and of detectors, and which of them differ."""

    kind: Literal["critical_difference"] = "critical_difference"

    title = "Mean ranks"
    caption = (
        "Mean ranks (1 is best) of the recipes and of the detectors over OOD sets. Those that a bar joins, on the page "
        "those whose bars overlap, are not significantly different at the 5 % level (Conover's test after Friedman's, "
        "with Holm's correction). "
        "Sets of one table share models and ID images, so the test is about these sets and treats them as independent."
    )
    section = "Detectors and sets"
    order = 25
    drawn_from = "results"

    def data(self, table: TableData) -> Data:
        metric = main_metric(table)
        if metric is None:
            return Data(empty=NO_METRIC)
        sign = -1 if metric in table.settings.lower_is_better else 1
        parts = set(table.settings.columns)  # not the means over near and far
        areas = {key: sign * mean for key, mean in means(table, metric).items() if key[:2] in parts}
        panels, notes = ranks_of(areas, table.settings)
        alone = "One recipe and one detector: nothing to rank."
        empty = "" if panels else " ".join(notes) or alone
        notes += [f"Shown are the best {MOST} of {len(one.names)}." for _, one in panels if len(one.names) > MOST]
        notes += [f"No difference among the {t.split(',')[0]} (Friedman)." for t, one in panels if one.p >= LEVEL]
        rows = [
            {"panel": title, "name": name, "rank": rank, "critical": one.critical, "p": one.p, "cliques": members}
            for title, one in [(title, best(one)) for title, one in panels]
            for name, rank, members in zip(one.names, one.ranks, members_of(one), strict=True)
        ]
        return Data(pd.DataFrame(rows), {"panels": panels, "metric": metric}, notes, empty)

    def view(self, data: Data) -> Spec:
        most = data.rows.groupby("panel")["name"].transform("size")
        reach = data.rows["critical"].clip(upper=2 * most) / 2
        low, high = (data.rows["rank"] - reach).clip(lower=1), (data.rows["rank"] + reach).clip(upper=most)
        rows = data.rows.assign(low=low, high=high, critical=data.rows["critical"].replace(np.inf, None))
        x: Spec = {"type": "quantitative", "title": "mean rank (1 is best)", "scale": {"zero": False}}
        tooltip = [{"field": "name"}, {"field": "rank", "format": ".2f"}]
        tooltip += [{"field": "critical", "title": "critical difference"}, {"field": "p", "title": "p (Friedman)"}]
        tooltip += [{"field": "cliques", "title": "not told apart in group"}]
        return {
            "height": 20 * int(rows["panel"].value_counts().max()),
            "data": {"values": rows.round({"rank": 3, "critical": 3, "low": 3, "high": 3}).to_dict("records")},
            "params": [choice("ranked", list(dict.fromkeys(rows["panel"])), "Ranks of")],
            "transform": [{"filter": "datum.panel == ranked"}],
            "encoding": {"y": {"field": "name", "type": "nominal", "sort": None, "title": None}, "tooltip": tooltip},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 2, "color": "#808080"},
                    "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}},
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1, "color": colour(0)},
                    "encoding": {"x": x | {"field": "rank"}},
                },
            ],
        }

    def picture(self, data: Data) -> Picture:
        panels = [(title, best(ranks)) for title, ranks in data.more["panels"]]
        heights = [1.3 + 0.2 * len(ranks.names) for _, ranks in panels]
        image = new_picture(7.5, sum(heights))
        axes = image.subplots(len(heights), 1, height_ratios=heights, squeeze=False)
        for axis, (title, ranks) in zip(axes[:, 0], panels, strict=True):
            draw(axis, title, ranks, title_of(data.more["metric"]))
        return image


def best(ranks: Ranks) -> Ranks:
    """The best `MOST` alone."""
    order = np.argsort(ranks.ranks, kind="stable")[:MOST]
    return Ranks([ranks.names[i] for i in order], ranks.ranks[order], ranks.blocks, ranks.p, ranks.critical)


def members_of(ranks: Ranks) -> list[str]:
    """For each name the numbers, from the best on, of the cliques that it is in."""
    cliques = list(enumerate(ranks.cliques(), 1))
    return [" ".join(str(n) for n, (low, high) in cliques if low <= rank <= high) for rank in ranks.ranks]


def draw(axis: Axes, title: str, ranks: Ranks, metric: str) -> None:
    """One diagram: the axis of mean ranks above, names at both sides, bars between."""
    count, order = len(ranks.names), np.argsort(ranks.ranks, kind="stable")
    left, names = (count + 1) // 2, shortened(ranks.names)
    bars = ranks.cliques()
    first = 0.6 + 0.3 * len(bars)
    for level, (start, end) in enumerate(bars):
        axis.plot([start - 0.02, end + 0.02], [-0.35 - 0.3 * level] * 2, color="black", linewidth=3, clip_on=False)
    for place, index in enumerate(order):
        rank, at_left = ranks.ranks[index], place < left
        depth = -first - 0.45 * (place if at_left else count - 1 - place)
        edge = 1 - 0.03 * count if at_left else count + 0.03 * count
        axis.plot([rank, rank, edge], [0, depth, depth], color="0.35", linewidth=0.8, clip_on=False)
        text = f"{names[index]}  {rank:.2f}" if at_left else f"{rank:.2f}  {names[index]}"
        axis.text(edge, depth, f" {text} ", ha="right" if at_left else "left", va="center", fontsize=8, clip_on=False)
    if np.isfinite(ranks.critical):
        axis.plot([1, 1 + ranks.critical], [0.8, 0.8], color="black", linewidth=1.2, clip_on=False)
        axis.text(1 + ranks.critical / 2, 0.95, f"CD = {ranks.critical:.2f}", ha="center", va="bottom", fontsize=8)
    else:
        axis.text(1, 0.95, "no pair differs significantly", ha="left", va="bottom", fontsize=8)
    axis.set_title(f"Mean rank by {metric}: {title} (Friedman p = {ranks.p:.3g})", fontsize=9, pad=16)
    axis.set(xlim=(1, count), ylim=(-first - 0.45 * left, 1.6), xticks=range(1, count + 1), yticks=[])
    axis.spines[["left", "right", "bottom"]].set_visible(False)
    axis.spines["top"].set_position(("data", 0))
    axis.xaxis.set_ticks_position("top")
    axis.tick_params(labelsize=8)

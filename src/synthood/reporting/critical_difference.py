"""Critical-difference diagrams: mean ranks over OOD sets, with Friedman's and Nemenyi's tests (Demsar, JMLR 2006)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2, rankdata, studentized_range

from synthood.evaluation.ranking import auroc
from synthood.reporting.runs import Run
from synthood.reporting.settings import PlotSettings

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LEVEL = 0.05


@dataclass(frozen=True)
class Ranks:
    """Mean ranks [K] of K named things over N blocks, 1 the best; Friedman's p-value, and Nemenyi's difference.

    Two whose mean ranks differ by less than `critical` do not differ significantly (5 %).
    """

    names: list[str]
    ranks: NDArray[np.float64]
    blocks: int
    p: float
    critical: float

    @classmethod
    def of(cls, values: NDArray[np.float64], names: Sequence[str]) -> "Ranks":
        """From values [N,K], larger is better; ties share their mean rank."""
        blocks, count = values.shape
        ranks = rankdata(-values, axis=1)
        spread = ((ranks - (count + 1) / 2) ** 2).sum()
        between = blocks * ((ranks.mean(0) - (count + 1) / 2) ** 2).sum()
        statistic = blocks * (count - 1) * between / spread if spread else 0.0
        quantile = float(studentized_range.ppf(1 - LEVEL, count, np.inf)) / np.sqrt(2)
        critical = quantile * np.sqrt(count * (count + 1) / (6 * blocks))
        return cls(list(names), ranks.mean(0), blocks, float(chi2.sf(statistic, count - 1)), float(critical))

    def alike(self) -> list[tuple[float, float]]:
        """The longest runs of mean ranks without a significant difference; one of all where Friedman finds none."""
        order = np.sort(self.ranks)
        if self.p >= LEVEL:
            return [(float(order[0]), float(order[-1]))]
        found: list[tuple[float, float]] = []
        for start in order:
            end = float(order[order - start < self.critical].max())
            if end > start and (not found or end > found[-1][1]):
                found.append((float(start), end))
        return found


def mean_areas(scores: Mapping[Run, pd.DataFrame], settings: PlotSettings) -> dict[tuple[str, str, str, str], float]:
    """AUROC by dataset, set, recipe and detector: the mean over seeds."""
    areas = {}
    for dataset in settings.datasets:
        id_parts = ["test", *settings.shifted.get(dataset, [])]
        for recipe, detector in product(settings.recipes, settings.detectors):
            frames = [scores[dataset, recipe, seed] for seed in settings.seeds]
            ids = [frame.loc[frame["part"].isin(id_parts), detector].to_numpy() for frame in frames]
            for part in [*settings.near[dataset], *settings.far[dataset]]:
                oods = [frame.loc[frame["part"] == part, detector].to_numpy() for frame in frames]
                found = [auroc(one, other) for one, other in zip(ids, oods, strict=True)]
                areas[dataset, part, recipe, detector] = float(np.mean(found))
    return areas


def ranks_of(areas: Mapping[tuple[str, str, str, str], float], settings: PlotSettings) -> list[tuple[str, Ranks]]:
    """Recipes over sets and detectors, and detectors over sets and recipes, where there are two or more."""
    sets = list(dict.fromkeys((dataset, part) for dataset, part, _, _ in areas))
    recipes = [[areas[*s, r, d] for r in settings.recipes] for s, d in product(sets, settings.detectors)]
    detectors = [[areas[*s, r, d] for d in settings.detectors] for s, r in product(sets, settings.recipes)]
    panels = [
        (f"recipes, over {len(sets)} sets x {len(settings.detectors)} detectors", settings.recipes, recipes),
        (f"detectors, over {len(sets)} sets x {len(settings.recipes)} recipes", settings.detectors, detectors),
    ]
    return [(title, Ranks.of(np.array(rows), names)) for title, names, rows in panels if len(names) > 1]


def rank_figure(scores: Mapping[Run, pd.DataFrame], settings: PlotSettings) -> Figure:
    """A panel for recipes and one for detectors; a bar joins those without a significant difference."""
    panels = ranks_of(mean_areas(scores, settings), settings)
    heights = [1.3 + 0.2 * len(ranks.names) for _, ranks in panels] or [1.0]
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(7.5, sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for axis, (title, ranks) in zip(axes[:, 0], panels, strict=False):
        draw(axis, title, ranks)
    if not panels:
        axes[0, 0].set_axis_off()
        axes[0, 0].text(0.5, 0.5, "one recipe and one detector: nothing to rank", ha="center")
    return figure


def draw(axis: Axes, title: str, ranks: Ranks) -> None:
    """One diagram: the axis of mean ranks above, names at both sides, bars between."""
    count, order = len(ranks.names), np.argsort(ranks.ranks, kind="stable")
    left = (count + 1) // 2
    bars = ranks.alike()
    first = 0.6 + 0.3 * len(bars)
    for level, (start, end) in enumerate(bars):
        axis.plot([start - 0.02, end + 0.02], [-0.35 - 0.3 * level] * 2, color="black", linewidth=3, clip_on=False)
    for place, index in enumerate(order):
        rank, at_left = ranks.ranks[index], place < left
        depth = -first - 0.45 * (place if at_left else count - 1 - place)
        edge = 1 - 0.03 * count if at_left else count + 0.03 * count
        axis.plot([rank, rank, edge], [0, depth, depth], color="0.35", linewidth=0.8, clip_on=False)
        text = f"{ranks.names[index]}  {rank:.2f}" if at_left else f"{rank:.2f}  {ranks.names[index]}"
        axis.text(edge, depth, f" {text} ", ha="right" if at_left else "left", va="center", fontsize=8, clip_on=False)
    axis.plot([1, 1 + ranks.critical], [0.8, 0.8], color="black", linewidth=1.2, clip_on=False)
    axis.text(1 + ranks.critical / 2, 0.95, f"CD = {ranks.critical:.2f}", ha="center", va="bottom", fontsize=8)
    axis.set_title(f"Mean rank by AUROC: {title} (Friedman p = {ranks.p:.3g})", fontsize=9, pad=16)
    axis.set(xlim=(1, count), ylim=(-first - 0.45 * left, 1.6), xticks=range(1, count + 1), yticks=[])
    axis.spines[["left", "right", "bottom"]].set_visible(False)
    axis.spines["top"].set_position(("data", 0))
    axis.xaxis.set_ticks_position("top")
    axis.tick_params(labelsize=8)

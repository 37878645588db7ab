"""Stage `plot`: ROC curves, score histograms, training curves and mean ranks of a table's runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import pandas as pd

from synthood.common import stage
from synthood.common.artefact import verify
from synthood.common.command import Output
from synthood.evaluation.ranking import counts_above
from synthood.reporting.critical_difference import rank_figure
from synthood.reporting.runs import Run, read_runs
from synthood.reporting.settings import PlotSettings

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

GRID = np.linspace(0, 1, 201)
PANEL = 2.3


def colour(index: int) -> str:
    return f"C{index % 10}"


def roc_figure(scores: dict[Run, pd.DataFrame], settings: PlotSettings) -> Figure:
    """Rows: detectors; columns: OOD sets; a line per recipe, the mean over seeds."""
    columns = [(d, part) for d in settings.datasets for part in [*settings.near[d], *settings.far[d]]]
    figure, axes = grid(len(settings.detectors), len(columns))
    for row, detector in enumerate(settings.detectors):
        for column, (dataset, part) in enumerate(columns):
            axis = axes[row, column]
            for index, recipe in enumerate(settings.recipes):
                frames = [scores[dataset, recipe, seed] for seed in settings.seeds]
                ids = ["test", *settings.shifted.get(dataset, [])]
                curve = np.mean([roc_curve(frame, detector, part, ids) for frame in frames], axis=0)
                axis.plot(GRID, curve, color=colour(index), label=recipe, linewidth=1.2)
            axis.plot([0, 1], [0, 1], color="0.8", linewidth=0.8, zorder=0)
            axis.set(xlim=(0, 1), ylim=(0, 1.01), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
            name_panel(axis, row, column, detector, part)
    figure.supxlabel("share of OOD accepted", fontsize=9)
    figure.supylabel("share of ID accepted", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6, fontsize=8)
    return figure


def roc_curve(frame: pd.DataFrame, detector: str, part: str, id_parts: Sequence[str] = ("test",)) -> np.ndarray:
    """Share of ID accepted at each share of OOD in `GRID`."""
    ids = frame.loc[frame["part"].isin(list(id_parts)), detector].to_numpy()
    id_above, ood_above = counts_above(ids, frame.loc[frame["part"] == part, detector].to_numpy())
    return np.interp(GRID, np.append(0, ood_above / ood_above[-1]), np.append(0, id_above / id_above[-1]))


def histogram_figure(scores: dict[Run, pd.DataFrame], settings: PlotSettings) -> Figure:
    """Rows: detectors; columns: recipes; densities of test and OOD sets, of the first dataset and seed."""
    dataset, seed = settings.datasets[0], settings.seeds[0]
    parts = ["test", *settings.near[dataset], *settings.far[dataset], *settings.shifted.get(dataset, [])]
    figure, axes = grid(len(settings.detectors), len(settings.recipes))
    for row, detector in enumerate(settings.detectors):
        for column, recipe in enumerate(settings.recipes):
            axis = axes[row, column]
            frame = scores[dataset, recipe, seed]
            low, high = np.percentile(frame[detector], [0.5, 99.5])
            bins = np.linspace(low, high if high > low else low + 1, 41)
            for index, part in enumerate(parts):
                values = np.clip(frame.loc[frame["part"] == part, detector], bins[0], bins[-1])
                style = {"histtype": "stepfilled", "alpha": 0.35} if part == "test" else {"histtype": "step"}
                axis.hist(values, bins=bins, density=True, color=colour(index), label=part, **style)
            axis.set_yticks([])
            name_panel(axis, row, column, detector, recipe)
    figure.supxlabel("confidence (larger: more ID)", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6, fontsize=8)
    return figure


def training_figure(histories: dict[Run, pd.DataFrame], settings: PlotSettings) -> Figure:
    """Rows: datasets; columns: loss, training and validation accuracy; a thin line per seed."""
    columns = {"loss": "training loss", "accuracy": "training accuracy", "val_accuracy": "validation accuracy"}
    figure, axes = grid(len(settings.datasets), len(columns), width=3.4)
    for row, dataset in enumerate(settings.datasets):
        for column, (key, name) in enumerate(columns.items()):
            axis = axes[row, column]
            for index, recipe in enumerate(settings.recipes):
                for seed in settings.seeds:
                    history = histories[dataset, recipe, seed]
                    if history.empty:  # a checkpoint, trained elsewhere
                        continue
                    label = recipe if seed == settings.seeds[0] else None
                    axis.plot(history["epoch"] + 1, history[key], color=colour(index), label=label, linewidth=0.9)
            if key == "loss" and axis.lines:
                axis.set_yscale("log")
            axis.set_xlabel("epoch", fontsize=8)
            name_panel(axis, row, column, dataset, name)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6, fontsize=8)
    return figure


def grid(rows: int, columns: int, width: float = PANEL) -> tuple[Figure, np.ndarray]:
    """A grid of panels, always two-dimensional."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns + 0.6, PANEL * rows + 0.6), squeeze=False, layout="constrained"
    )
    return figure, axes


def name_panel(axis: Axes, row: int, column: int, row_name: str, column_name: str) -> None:
    """Names columns above the first row and rows at the left."""
    axis.tick_params(labelsize=7)
    if row == 0:
        axis.set_title(column_name, fontsize=9)
    if column == 0:
        axis.set_ylabel(row_name, fontsize=9)


@stage.Stage
def main(
    job: stage.Job,
    settings: PlotSettings,
    scores: Annotated[list[Path], "per dataset, recipe, seed"],
    histories: Annotated[list[Path], "in the same order"],
    roc: Output,
    histograms: Output,
    training: Output,
    ranks_svg: Output,
    ranks_png: Output,
    beside: Annotated[Sequence[Path], "scores of other jobs, in the same order"] = (),
) -> None:
    recipes = [*settings.recipes, *settings.others]
    runs = [(d, r, s) for d in settings.datasets for r in recipes for s in settings.seeds]
    for path in histories:
        verify(path)
    found = read_runs(runs, scores, beside, {r: settings.detectors * (r in settings.recipes) for r in recipes})
    curves = {run: pd.read_csv(path) for run, path in zip(runs, histories, strict=True)}
    figures = [
        roc_figure(found, settings),
        histogram_figure(found, settings),
        training_figure(curves, settings),
    ]
    for path, figure in zip((roc, histograms, training), figures, strict=True):
        with job.writing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=settings.figures.dpi, metadata={"Software": None})
        plt.close(figure)
    ranks = rank_figure(found, settings)
    with plt.rc_context({"svg.hashsalt": "synthood"}), job.writing(ranks_svg) as temporary:
        ranks.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    with job.writing(ranks_png) as temporary:
        ranks.savefig(temporary, format="png", dpi=settings.figures.dpi, metadata={"Software": None})
    plt.close(ranks)


if __name__ == "__main__":
    main()

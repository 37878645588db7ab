"""Warnings of the page: what makes a table's numbers less than they seem, each with its limit (docs/report.md)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from synthood.evaluation.metrics.base import IDMetric, Metric
from synthood.reporting.comparisons import FEWEST
from synthood.reporting.page import limits
from synthood.reporting.page.tables import Report, chosen
from synthood.reporting.runs import Run

SHOWN = 4
"""Names in a sentence."""
SPACES = {"classifier": "classifier features"}
"""Where copies are sought, in words."""
NEAR_AND_FAR = ("near", "far")


@dataclass(frozen=True)
class Warned:
    """A warning: which check gives it, a sentence, and the table that it is about, where it is about one."""

    check: str
    text: str
    table: str = ""


def of_table(report: Report) -> Iterator[Warned]:
    """All warnings about a table's numbers."""
    for check in (below_chance, saturated, few_seeds, uneven_seeds, computed_only, published_only, missing):
        yield from (Warned(check.__name__, text, report.name) for text in check(report))


def several_processors(jobs: Mapping[str, int]) -> Iterator[Warned]:
    """Jobs that computed with other instructions than the rest (numbers of jobs by instructions)."""
    if len(jobs) > 1:
        each = ", ".join(f"{count} with {name}" for name, count in jobs.items())
        yield Warned(
            "several_processors",
            f"Jobs ran on processors of different instructions ({each}): run again on one kind, results may differ in "
            "their last bits.",
        )


def below_chance(report: Report) -> Iterator[str]:
    """Detectors whose mean AUROC on a set is below 50: they take OOD images for ID."""
    values = report.values[report.values["metric"] == "auroc"]
    for dataset, of in values.groupby("dataset", sort=False):
        below = of[of["mean"] < limits.CHANCE].sort_values("mean", kind="stable")
        if len(below):
            cells, found = of["detector"].value_counts(), below["detector"].value_counts(sort=False)
            worst, each = (
                below.iloc[0],
                [f"{name} in {count} of {cells.at[name]} cells" for name, count in found.items()],
            )
            yield (
                f"Below chance (AUROC under {limits.CHANCE:g}) on {dataset}: {listed(each)}; lowest "
                f"{worst['mean']:.1f} by {worst['detector']} with {worst['recipe']} on {worst['set']}. There OOD "
                "images look more ID than ID images."
            )


def saturated(report: Report) -> Iterator[str]:
    """Sets of which many cells print the best value of the first metric, so that they cannot tell methods apart."""
    for metric, dataset in product(ood_metrics(report)[:1], report.settings.datasets):
        values = chosen(report.values, dataset, metric)
        values = values[~values["set"].isin([*NEAR_AND_FAR, "test"]) & values["mean"].notna()]
        full = abs(values["mean"] - best_possible(metric)) < limits.SATURATED
        cells = full.groupby(values["set"], sort=False).agg(["mean", "sum", "size"])
        found = cells[cells["mean"] >= limits.MOST_SATURATED]
        if len(found):
            each = [f"{int(row['sum'])} of {int(row['size'])} on {name}" for name, row in found.iterrows()]
            yield (
                f"{metric.title} on {dataset} is saturated: {best_possible(metric):.2f} in {', '.join(each)} cells. "
                "Such sets cannot tell these methods apart."
            )


def few_seeds(report: Report) -> Iterator[str]:
    """Fewer models than a test takes; with one, intervals know nothing of other trainings."""
    count = int(report.values["seeds"].max()) if len(report.values) else 0
    if count == 1:
        yield "One seed: intervals are for new images alone, another training may differ by more, nothing is tested."
    elif 0 < count < FEWEST:
        yield f"{count} seeds: too few for a test, which takes {FEWEST}; intervals are wide for that reason."


def uneven_seeds(report: Report) -> Iterator[str]:
    """Rows over fewer models than others."""
    settings, values = report.settings, report.values
    varied = values[~values["detector"].isin(settings.ensembles) & ~values["recipe"].isin(settings.fixed)]
    counts = varied.groupby("recipe", sort=False)["seeds"].min()
    for count in sorted(set(counts)) if len(set(counts)) > 1 else []:
        if count < counts.max():
            yield (
                f"{listed(counts.index[counts == count])}: over {count} seeds, where other rows have {counts.max()}. "
                "Compare them by their gains, which are of the seeds that both have."
            )


def computed_only(report: Report) -> Iterator[str]:
    """Near or far sets without a natural image among them."""
    for dataset in report.settings.datasets:
        computed = set(report.settings.computed.get(dataset, []))
        for role, parts in report.roles(dataset).items():
            if parts and set(parts) <= computed:
                yield (
                    f"All {role} OOD sets of {dataset} are computed images ({listed(parts)}): they say little about "
                    "natural ones."
                )


def published_only(report: Report) -> Iterator[str]:
    """Numbers that were published, without one that was measured here."""
    if "published" in report.values:
        rows = report.values[report.values["published"].notna() & report.values["mean"].isna()]
        if len(rows):
            names = [pair(row["recipe"], row["detector"]) for row in rows.to_dict("records")]
            yield f"Published but not measured here: {listed(names)}."


def missing(report: Report) -> Iterator[str]:
    """Cells without a number, and rows without any."""
    table, absent = report.settings, dict[tuple[str, str], list[str]]()
    for dataset, metric in product(table.datasets, table.metrics):
        of = chosen(report.values, dataset, metric)
        there = set(zip(of["recipe"], of["detector"], strict=True))
        wanted = [(recipe, "") for recipe in table.all_recipes] if isinstance(metric, IDMetric) else pairs(report)
        rows = [*zip(*(of.loc[of["mean"].isna(), name] for name in ("recipe", "detector")), strict=True)]
        for row in dict.fromkeys([*rows, *(one for one in wanted if one not in there)]):
            absent.setdefault((dataset, pair(*row)), []).append(metric.title)
    for dataset in table.datasets:
        if own := {row: titles for (where, row), titles in absent.items() if where == dataset}:
            titles = [title for each in own.values() for title in each]
            yield f"No number on {dataset} for {listed(list(own))} ({listed(titles)})."


def pairs(report: Report) -> list[tuple[str, str]]:
    """Recipe and detector of every row that the settings ask for."""
    return [(recipe, one.detector) for one in report.settings.methods for recipe in one.recipes.values()]


def under_fitted(histories: Mapping[Run, pd.DataFrame]) -> Iterator[Warned]:
    """Recipes that ended with a low accuracy, or while it rose."""
    for (dataset, recipe), curves in by_recipe(histories).items():
        last = {name: float(curve[-1]) for name, curve in curves.items()}
        about = f"{recipe} on {dataset}"
        if last and all(value < limits.LEAST_TRAINING_ACCURACY for value in last.values()):
            shown = ", ".join(f"{name} {100 * value:.0f} %" for name, value in last.items())
            yield Warned("under_fitted", f"{about} may be under-fitted: accuracy at its end is {shown}.")
        elif curves and all(rise(curve) >= limits.STILL_RISING for curve in curves.values()):
            shown = ", ".join(f"{name} +{100 * rise(curve):.0f}" for name, curve in curves.items())
            yield Warned(
                "under_fitted", f"{about} may be under-fitted: accuracy still rose at its end ({shown} points)."
            )


def by_recipe(histories: Mapping[Run, pd.DataFrame]) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Curves [epochs] of training and validation accuracy, means over the seeds' common epochs; none of checkpoints."""
    found: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for (dataset, recipe, _), history in histories.items():
        found.setdefault((dataset, recipe), []).append(history)
    curves: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for run, frames in found.items():
        epochs = min(map(len, frames))
        for name, column in (("training", "accuracy"), ("validation", "val_accuracy")):
            if epochs and all(column in frame for frame in frames):
                curve = np.mean([frame[column].to_numpy(float)[:epochs] for frame in frames], axis=0)
                if np.isfinite(curve).all():
                    curves.setdefault(run, {})[name] = curve
    return curves


def rise(curve: np.ndarray) -> float:
    """Mean of the last tenth of a curve, two epochs at least, minus that of as many before; 0 where there are none."""
    size = max(2, len(curve) // 10)
    return float(curve[-size:].mean() - curve[-2 * size : -size].mean()) if len(curve) >= 2 * size else 0.0


def of_synthetic(about: str, figures: Mapping[str, Any]) -> Iterator[Warned]:
    """Synthetic images that copy training images."""
    copying = {space: value for space, value in figures.get("copying", {}).items() if value is not None}
    if beyond := {space: value for space, value in copying.items() if limits.COPYING.judge(value) == "poor"}:
        shown = ", ".join(f"{value:.1f} in {SPACES.get(space, space)}" for space, value in beyond.items())
        yield Warned(
            "copying",
            f"Synthetic images of {about} copy training images: the three-sample test gives {shown}, below "
            f"{limits.COPYING.poor:g}.",
        )
    elif limits.COPY_SHARE.judge(figures.get("copy_share")) == "poor":
        yield Warned(
            "copying",
            f"Synthetic images of {about} copy training images: {100 * figures['copy_share']:.1f} % are as near to one "
            "as the nearest 1 % of test images.",
        )


def of_outliers(about: str, figures: Mapping[str, Any]) -> Iterator[Warned]:
    """Outliers that a judge takes for ID images, or of which the gate let none through."""
    if not figures.get("kept"):
        yield Warned("no_outliers", f"The gate of {about} accepted no outlier.")
        return
    after = figures.get("after_gate", {})
    meanings = {
        "called_id_share": (limits.CALLED_ID, "are called ID by the judge, as surely as ID images"),
        "surely_other_class_share": (limits.MISLABELLED, "are surely images of another ID class"),
        "intended_share": (limits.INTENDED, "still show their intended class"),
    }
    poor = [
        f"{100 * after[key]:.0f} % {meaning}"
        for key, (limit, meaning) in meanings.items()
        if limit.judge(after.get(key)) == "poor"
    ]
    if poor:
        yield Warned("outliers_that_are_id", f"Outliers of {about} are ID in part: {'; '.join(poor)}.")


def ood_metrics(report: Report) -> list[Metric]:
    """The metrics of the columns that compare ID with OOD images."""
    known = set(report.values.loc[report.values["set"] != "test", "metric"])
    return [metric for metric in report.settings.metrics if metric.key in known]


def best_possible(metric: Metric) -> float:
    """In percent."""
    return 0.0 if metric.lower_is_better else 100.0


def pair(recipe: str, detector: str) -> str:
    """A row in words."""
    return f"{recipe} by {detector}" if detector else recipe


def listed(names: Sequence[str] | pd.Series | pd.Index) -> str:
    """The first names, each once, and how many more."""
    each = list(dict.fromkeys(map(str, names)))
    return ", ".join(each[:SHOWN]) + (f" and {len(each) - SHOWN} more" if len(each) > SHOWN else "")

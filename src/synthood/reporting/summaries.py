"""The last rows of a table, as in Table 1 of SIO (arXiv 2303.14531): averages over all detectors, and the best."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from synthood.errors import SynthoodError
from synthood.reporting.settings import Method, TableSettings, TabulateSettings
from synthood.reporting.statistics import Runs, weighted_sum

Part = tuple[str, str]
"""Set and metric."""


class Averages:
    """Means of one dataset's numbers over the methods that score every recipe of the table, or one in its place.

    Ensembles have no runs of single seeds and are left out. A metric of the classifier counts once for each method.
    """

    def __init__(self, settings: TabulateSettings) -> None:
        table = settings.table
        self.methods = [
            method
            for method in table.methods
            if set(table.recipes) <= set(method.recipes) and method.detector not in settings.ensembles
        ]
        self.recipes = table.recipes
        self.sums: dict[Part, dict[str, Runs]] = {}

    def add(self, detector: str, part: Part, runs: Mapping[str, Runs]) -> None:
        """The runs of each recipe by a detector; of all methods where it is empty."""
        for method in self.methods:
            if detector in ("", method.detector):
                self._add(method, part, runs)

    def _add(self, method: Method, part: Part, runs: Mapping[str, Runs]) -> None:
        sums = self.sums.setdefault(part, {})
        for recipe in self.recipes:
            own = runs[method.recipes[recipe]]
            total = weighted_sum(sums[recipe], own, 1.0) if recipe in sums else own
            if total is None:
                raise SynthoodError(
                    f"summary: the models of {method.recipes[recipe]!r} have no seed in common with those of the other "
                    f"rows; leave out `average`, or score models of the same seeds"
                )
            sums[recipe] = total

    def means(self) -> dict[Part, dict[str, Runs]]:
        """The average of every recipe."""
        share = 1 / max(len(self.methods), 1)
        return {
            part: {name: Runs(one.values * share, one.resampled * share, one.seeds) for name, one in sums.items()}
            for part, sums in self.sums.items()
        }


def best_of(values: pd.DataFrame, table: TableSettings) -> list[dict[str, Any]]:
    """A row per recipe, set and metric with the best mean of all methods, in percent, without an interval."""
    lower = {metric.key: metric.lower_is_better for metric in table.metrics}
    found = {
        (line["detector"], line["recipe"], line["set"], line["metric"]): line for line in values.to_dict("records")
    }
    parts = dict.fromkeys((line["set"], line["metric"]) for line in values.to_dict("records"))
    rows = []
    for part, metric in parts:
        for recipe in table.recipes:
            places = [(one.detector, one.recipes[recipe]) for one in table.methods if recipe in one.recipes]
            places += [("", trained) for _, trained in places]
            lines = [found[*place, part, metric] for place in places if (*place, part, metric) in found]
            numbers = [line for line in lines if pd.notna(line["mean"])]
            best = sorted(numbers, key=lambda line: line["mean"], reverse=not lower[metric])[0] if numbers else lines[0]
            key = {"dataset": best["dataset"], "recipe": recipe, "detector": "best", "set": part, "metric": metric}
            rows.append(key | {"mean": best["mean"], "sd": best["sd"], "seeds": best["seeds"]})
    return rows

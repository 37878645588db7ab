"""A table's CSV files as the page's leaderboards: columns of numbers by row, and gains over each baseline."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from synthood.errors import SynthoodError
from synthood.evaluation.metrics.base import IDMetric, Metric
from synthood.reporting.page.settings import PageTable
from synthood.reporting.results import GAINS, VALUES, read_csv

Columns = dict[str, list[float | None]]


@dataclass(frozen=True)
class Report:
    """A table's settings with its values and gains, in percent and points."""

    settings: PageTable
    values: pd.DataFrame
    gains: pd.DataFrame

    @property
    def name(self) -> str:
        """The table's name in the configuration."""
        return self.settings.name

    @property
    def title(self) -> str:
        """The table's title, or its name."""
        return self.settings.title or self.name

    def roles(self, dataset: str) -> dict[str, list[str]]:
        """The OOD sets of a dataset that are near, and those that are far."""
        return {"near": self.settings.near.get(dataset, []), "far": self.settings.far.get(dataset, [])}


def read_report(settings: PageTable, values: Path, gains: Path) -> Report:
    """A report of two CSV files that `tabulate` wrote; raises SynthoodError where they are of another table."""
    report = Report(settings, read_csv(values, VALUES), read_csv(gains, GAINS))
    known = {
        "dataset": set(settings.datasets),
        "recipe": set(settings.all_recipes),
        "detector": {"", *settings.all_detectors, *settings.summary},
        "metric": {metric.key for metric in settings.metrics},
    }
    for path, frame in ((values, report.values), (gains, report.gains)):
        for column, names in known.items():
            if other := sorted(set(frame[column]) - names):
                raise SynthoodError(
                    f"{path}: {column} {other[0]!r} is not in table {settings.name}; name the files in the order of "
                    "the settings' tables"
                )
    return report


def leaderboards(report: Report) -> list[dict[str, Any]]:
    """Every (dataset, metric) of a table, as the page's script reads it."""
    table = report.settings
    return [leaderboard(report, dataset, metric) for dataset in table.datasets for metric in table.metrics]


def leaderboard(report: Report, dataset: str, metric: Metric) -> dict[str, Any]:
    """Rows are pairs of detector and recipe; `values` and `gains` hold one list of a number per row for each set."""
    table = report.settings
    values = chosen(report.values, dataset, metric)
    gains = chosen(report.gains, dataset, metric)
    gains = gains[gains["detector"] == gains["base_detector"]]
    rows = list(dict.fromkeys(zip(values["detector"], values["recipe"], strict=True)))
    sets = list(dict.fromkeys(values["set"]))
    shown = [part for part in ("test", "near", "far") if part in sets]
    return {
        "table": report.name,
        "dataset": dataset,
        "metric": metric.key,
        "title": metric.title,
        "lower": metric.lower_is_better,
        "classifier": isinstance(metric, IDMetric),
        "rows": [list(row) for row in rows],
        "summary": list(table.summary),
        "sets": [*shown, *(part for part in sets if part not in shown)],
        "roles": {role: parts for role, parts in report.roles(dataset).items() if parts},
        "values": {part: of_rows(frame, rows, ("mean", "sd", "low", "high")) for part, frame in by_set(values)},
        "gains": {
            str(base): {part: of_rows(frame, rows, ("gain", "low", "high", "p")) for part, frame in by_set(of_base)}
            for base, of_base in gains.groupby("base", sort=False)
        },
        "level": round(1 - table.confidence, 12),
    }


def chosen(frame: pd.DataFrame, dataset: str, metric: Metric) -> pd.DataFrame:
    """The rows of one dataset and metric."""
    return frame[(frame["dataset"] == dataset) & (frame["metric"] == metric.key)]


def by_set(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each set."""
    return [(str(part), of_set) for part, of_set in frame.groupby("set", sort=False)]


def of_rows(frame: pd.DataFrame, rows: Sequence[tuple[str, str]], names: Sequence[str]) -> Columns:
    """A list per column with a number for each row, null where there is none; without columns that have no number."""
    indexed = frame.drop_duplicates(["detector", "recipe"]).set_index(["detector", "recipe"])[list(names)]
    found = indexed.reindex(pd.MultiIndex.from_tuples(rows, names=["detector", "recipe"]))
    columns = {name: [None if math.isnan(x) else round(x, 4) for x in found[name].astype(float)] for name in names}
    return {name: column for name, column in columns.items() if any(x is not None for x in column)}


def papers_of(papers: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[str, str]]]:
    """Each paper as its text and the address of its arXiv number, empty where it has none."""
    return {name: [(paper, address(paper)) for paper in each] for name, each in papers.items()}


def address(paper: str) -> str:
    """Of the first arXiv number in a text."""
    number = re.search(r"arXiv (\d{4}\.\d{4,5})", paper)
    return f"https://arxiv.org/abs/{number[1]}" if number else ""

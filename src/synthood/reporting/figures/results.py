"""What figures take from a table's own numbers."""

from __future__ import annotations

from synthood.reporting.figures.base import TableData
from synthood.reporting.settings import METRICS

NO_METRIC = "The table has no number of an OOD metric."


def main_metric(table: TableData) -> str | None:
    """AUROC, or the first metric of detectors on OOD sets that the table has numbers of; None where it has none."""
    parts = {part for _, part in table.settings.columns}
    there = table.values["set"].isin(parts) & table.values["mean"].notna()
    shown = list(dict.fromkeys(table.values.loc[there, "metric"]))
    return "auroc" if "auroc" in shown else next(iter(shown), None)


def title_of(metric: str) -> str:
    """A metric's heading; that of a user's metric is its name."""
    return METRICS[metric]().title if metric in METRICS else metric


def means(table: TableData, metric: str) -> dict[tuple[str, str, str, str], float]:
    """A metric's means by dataset, set, recipe and detector (empty for metrics of the classifier), in percent."""
    rows = table.values[table.values["metric"] == metric]
    keys = zip(rows["dataset"], rows["set"], rows["recipe"], rows["detector"], strict=True)
    return dict(zip(keys, map(float, rows["mean"]), strict=True))


def lines(table: TableData, metric: str) -> dict[tuple[str, str, str, str], dict[str, float]]:
    """Mean and bounds likewise."""
    rows = table.values[table.values["metric"] == metric]
    found = {}
    for line in rows.to_dict("records"):
        key = (line["dataset"], line["set"], line["recipe"], line["detector"])
        found[key] = {name: float(line[name]) for name in ("mean", "low", "high")}
    return found

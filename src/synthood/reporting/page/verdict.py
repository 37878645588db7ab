"""The page's verdict in sentences: what is best, by how much, and how much of it chance alone would give."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from synthood.evaluation.metrics.base import Metric
from synthood.reporting.comparisons import FEWEST, level_of, p_text, points
from synthood.reporting.page.checks import NEAR_AND_FAR, listed, ood_metrics, pair
from synthood.reporting.page.tables import Report, chosen
from synthood.reporting.render import distinct

Line = Mapping[Hashable, Any]


def best_sentences(report: Report) -> dict[str, list[str]]:
    """By metric: what is best near and far on each dataset, against its baselines and against the next."""
    found: dict[str, list[str]] = {}
    for metric in ood_metrics(report):
        for dataset in report.settings.datasets:
            for role in NEAR_AND_FAR:
                if sentence := best_sentence(report, dataset, metric, role):
                    found.setdefault(metric.title, []).append(sentence)
    return found


def best_sentence(report: Report, dataset: str, metric: Metric, role: str) -> str:
    """Of one dataset, metric and role; empty where no row has a number."""
    table = report.settings
    values = chosen(report.values, dataset, metric)
    values = values[(values["set"] == role) & ~values["detector"].isin(table.summary) & values["mean"].notna()]
    if values.empty:
        return ""
    order = values.sort_values("mean", ascending=metric.lower_is_better, kind="stable").to_dict("records")
    best = order[0]
    alike = [line for line in order if f"{line['mean']:.2f}" == f"{best['mean']:.2f}"]
    where = f"{role.capitalize()} OOD on {dataset}: "
    if len(alike) > 1:
        names = [pair(line["recipe"], line["detector"]) for line in alike]
        return f"{where}{listed(names)} share the best value, {metric.title} {best['mean']:.2f}."
    sentence = f"{where}{name_of(best)} is best, {metric.title} {best['mean']:.2f}{interval(best, table.confidence)}"
    gains = chosen(report.gains, dataset, metric)
    gains = gains[
        (gains["set"] == role) & (gains["recipe"] == best["recipe"]) & (gains["detector"] == best["detector"])
    ]
    over = gains[gains["detector"] == gains["base_detector"]].to_dict("records")
    parts = [against(line, table.confidence) for line in over]
    if not parts and best["recipe"] in table.baselines:
        parts = ["itself a baseline"]
    sentence += "".join(f"; {part}" for part in parts) + "."
    return sentence + next_best(order, gains, table.confidence) if len(order) > 1 else sentence


def name_of(line: Line) -> str:
    """A row in words."""
    return pair(line["recipe"], line["detector"])


def interval(line: Line, confidence: float) -> str:
    """In brackets; empty where there is none."""
    known = pd.notna(line["low"])
    return f" ({100 * confidence:.4g} % interval {line['low']:.1f} to {line['high']:.1f})" if known else ""


def against(line: Line, confidence: float) -> str:
    """A paired gain over the base: its interval, seeds and test."""
    base = line["base"] if line["detector"] == line["base_detector"] else pair(line["base"], line["base_detector"])
    if pd.isna(line["gain"]):
        return f"no seed in common with {base}"
    bounds = f", {100 * confidence:.4g} % interval {points(line['low'])} to {points(line['high'])}"
    return (
        f"{points(line['gain'])} points over {base} (paired{bounds if pd.notna(line['low']) else ''}, "
        f"{seeds(line['seeds'])}, {tested(line['p'], confidence)})"
    )


def seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"


def tested(p: float, confidence: float) -> str:
    """What a corrected p-value says."""
    if pd.isna(p):
        return "not tested"
    level = level_of(confidence)
    return f"{p_text(p, level)} by Holm, {'significant' if p < level else 'not significant'}"


def next_best(order: list[dict[Hashable, Any]], gains: pd.DataFrame, confidence: float) -> str:
    """The next row: its paired difference where the table compares the two, else that of the means."""
    best, second = order[:2]
    of = gains[(gains["base"] == second["recipe"]) & (gains["base_detector"] == second["detector"])].to_dict("records")
    lead = f" Next: {name_of(second)}, {second['mean']:.2f}"
    if of and of[0]["base_detector"] == of[0]["detector"]:
        return f"{lead}."
    if of:
        return f"{lead}; the best has {against(of[0], confidence)}."
    gap = abs(best["mean"] - second["mean"])
    return f"{lead}, {gap:.2f} points behind by means; this pair was not compared."


def chance(report: Report) -> str:
    """How many comparisons are significant, and how many chance alone would give."""
    table = report.settings
    if report.gains.empty:
        return "Nothing is compared: the table names no baselines."
    level = level_of(table.confidence)
    lines = distinct(report.gains[report.gains["p"].notna()].to_dict("records"))
    if lines:
        found = sum(line["p"] < level for line in lines)
        return (
            f"{found} of {len(lines)} tested comparisons {'is' if found == 1 else 'are'} significant after Holm's "
            f"correction, which leaves chance alone {100 * level:.4g} % for any at all; without it, chance alone would "
            f"give about {level * len(lines):.2g}."
        )
    first = next((metric.key for metric in ood_metrics(report)), "")
    gains = report.gains
    shown = gains[(gains["metric"] == first) & gains["set"].isin(NEAR_AND_FAR) & gains["low"].notna()]
    lines = distinct(shown.to_dict("records"))
    if not lines:
        return f"No comparison was tested: that takes {FEWEST} seeds."
    beyond = sum((line["low"] > 0) or (line["high"] < 0) for line in lines)
    return (
        f"No comparison was tested: that takes {FEWEST} seeds. Of {len(lines)} gains near and far, {beyond} "
        f"{'has' if beyond == 1 else 'have'} a {100 * table.confidence:.4g} % interval without zero; chance alone "
        f"would give about {level * len(lines):.2g}."
    )

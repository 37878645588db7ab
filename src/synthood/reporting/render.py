"""The tables of `tabulate` for readers, whatever the format: headings, cells, marks, sentences and notes."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from synthood.evaluation.metrics.base import IDMetric, Metric, OODMetric
from synthood.reporting.comparisons import FEWEST, Comparison, level_of, points
from synthood.reporting.published import agreement
from synthood.reporting.results import Results
from synthood.reporting.settings import Role, TableSettings

DISPUTED = "†"
NONE = "–"
"""Shown where there is no number."""

Line = dict[Hashable, Any]
"""A row of the long table."""


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and what it sorts by.

    `kind` is text, or better or worse (a significant gain); `rank` is best or second.
    """

    text: str
    small: str = ""
    kind: str = ""
    value: float | str = ""
    rank: str = ""


@dataclass(frozen=True)
class Row:
    """`base`: of a baseline; `summary`: over all detectors, and not ranked."""

    cells: list[Cell]
    base: bool
    summary: bool = False


@dataclass(frozen=True)
class Block:
    """One table, of a dataset and a metric; the first `text` columns are names; legend, tests and remarks follow."""

    dataset: str
    metric: Metric
    heading: str
    header: list[str]
    rows: list[Row]
    text: int
    legend: tuple[str, ...] = ()
    tests: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """A line that says by what, and the sentences below it."""
    remarks: tuple[str, ...] = ()


def blocks(results: Results, table: TableSettings, alone: Mapping[Role, str] = {}) -> list[Block]:
    """The tables in the order of the settings' columns.

    A set that is `alone` in its role has no column of its own: the mean over the role is its numbers.
    """
    family = len(distinct(results.gains[results.gains["p"].notna()].to_dict("records")))
    result = []
    for dataset in table.datasets:
        for metric in table.metrics:
            values, gains = (rows[(rows["dataset"] == dataset) & (rows["metric"] == metric.key)] for rows in results)
            head = [] if isinstance(metric, IDMetric) else ["detector"]
            roles = [role for role in ("near", "far") if role in set(values["set"])] or ["test"]
            repeated = [name for (of, _), name in alone.items() if of == dataset]
            values = values[~values["set"].isin(repeated)]
            titles = {role: title_of(role, metric, alone.get((dataset, role))) for role in roles}
            names = header(values, table, titles, head)
            rows = rows_of(values, gains, table, metric, roles, bool(head))
            block = Block(
                dataset,
                metric,
                f"{metric.title} on {dataset}, %",
                names,
                ranked(rows, metric, names, [*titles.values(), *sets_of(values)]),
                len(head) + 1,
                tests=tests(gains, table),
                remarks=remarks(values),
            )
            result.append(replace(block, legend=legend(block, table, family)))
    return result


def title_of(role: str, metric: Metric, lone: str | None) -> str:
    """The heading of a role's column, with the name of its only set."""
    if role == "test":
        return str(getattr(metric, "column", "test"))
    return f"{role} ({lone})" if lone else role


def header(values: pd.DataFrame, table: TableSettings, titles: Mapping[str, str], head: list[str]) -> list[str]:
    """Names, near and far with their gains, then every set."""
    found = [*head, "recipe"]
    for role, title in titles.items():
        of = "" if role == "test" else f" {role}"
        found += [title]
        found += [gain_name(f"gain{of}", base, table) for base in table.baselines]
        found += [f"published{of}", "difference"] if has_published(values) else []
    return found + sets_of(values)


def sets_of(values: pd.DataFrame) -> list[str]:
    """The OOD sets of a block."""
    return [name for name in dict.fromkeys(values["set"]) if name not in ("near", "far", "test")]


def rows_of(
    values: pd.DataFrame, gains: pd.DataFrame, table: TableSettings, metric: Metric, roles: list[str], named: bool
) -> list[Row]:
    """Rows: detector and recipe, or recipe alone."""
    found = by(values, "detector", "recipe", "set")
    alike = gains[gains["detector"] == gains["base_detector"]]
    over = by(alike, "detector", "recipe", "set", "base")
    names = [(one.detector, recipe) for one in table.methods for recipe in one.recipes.values()]
    names = names if named else [("", recipe) for recipe in table.all_recipes]
    names += [(row, recipe) for row in table.summary for recipe in table.recipes]
    names = [name for name in names if (*name, roles[0]) in found]
    baselines = {(method.detector, method.recipes.get(base)) for method in table.methods for base in table.baselines}
    baselines |= {(of, base) for of in ("", *table.summary) for base in table.baselines}
    published = has_published(values)
    rows = []
    for detector, recipe in names:
        shown = [detector, recipe] if named else [f"{recipe} ({detector})" if detector else recipe]
        cells = [Cell(name, kind="text", value=name) for name in shown]
        for role in roles:
            own = found[detector, recipe, role]
            bases = table.bases_of(detector, recipe)
            lines = [over.get((detector, recipe, role, base)) if base else None for base in bases]
            cells += [value_cell(own), *(gain_cell(line, metric, table.confidence) for line in lines)]
            cells += published_cells(own, int(own["seeds"])) if published else []
        cells += [value_cell(found[detector, recipe, name], interval=False) for name in sets_of(values)]
        rows.append(Row(cells, (detector, recipe) in baselines, detector in table.summary))
    return rows


def ranked(rows: list[Row], metric: Metric, header: list[str], valued: Sequence[str]) -> list[Row]:
    """Marks the best and second best value of the columns `valued`, as printed, with ties."""
    marked = [list(row.cells) for row in rows]
    for column, name in enumerate(header):
        places = [index for index, row in enumerate(rows) if not row.summary and row.cells[column].text != NONE]
        if name in valued:
            numbers = [round(float(rows[index].cells[column].value), 2) for index in places]
            for index, rank in zip(places, ranks(numbers, metric.lower_is_better), strict=True):
                marked[index][column] = replace(marked[index][column], rank=rank)
    return [replace(row, cells=cells) for row, cells in zip(rows, marked, strict=True)]


def ranks(numbers: Sequence[float], lower: bool) -> list[str]:
    """best, second or nothing for each number; nothing is best where all are equal, nor second of two."""
    order = sorted(set(numbers), reverse=not lower)
    names = dict(zip(order, ("best", "second"), strict=False))
    if len(order) < 2:
        return [""] * len(numbers)
    if len(numbers) < 3:
        names.pop(order[1])
    return [names.get(number, "") for number in numbers]


def by(rows: pd.DataFrame, *keys: str) -> dict[tuple[str, ...], Line]:
    """The rows by the values of some columns."""
    return {tuple(line[key] for key in keys): line for line in rows.to_dict("records")}


def distinct(lines: Sequence[Line]) -> list[Line]:
    """The rows of gains, of two that compare the same things the first."""
    found: dict[frozenset[Hashable], Line] = {}
    for line in lines:
        pair = {(line["recipe"], line["detector"]), (line["base"], line["base_detector"])}
        found.setdefault(frozenset([(line["dataset"], line["set"], line["metric"]), *pair]), line)
    return list(found.values())


def tests(gains: pd.DataFrame, table: TableSettings) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The comparisons that the settings ask for in words, each pair once: recipes by detector, detectors by recipe."""
    found: dict[str, list[str]] = {}
    for line in distinct(gains.to_dict("records")):
        alike = line["detector"] == line["base_detector"]
        if alike and not table.tested(line["detector"], line["set"], line["metric"]):
            continue
        lead = (
            f"With {line['recipe']}:" if not alike else f"By {line['detector']}:" if line["detector"] else "Of models:"
        )
        names = (line["recipe"], line["base"]) if alike else (line["detector"], line["base_detector"])
        numbers = (line["gain"], line["low"], line["high"], line["seeds"], table.confidence)
        of = Comparison(*names, line["set"], *numbers, None if pd.isna(line["p"]) else line["p"])
        found.setdefault(lead, []).append(of.sentence())
    return tuple((lead, tuple(sentences)) for lead, sentences in found.items())


def legend(block: Block, table: TableSettings, family: int) -> tuple[str, ...]:
    """What the marks of a table mean, of those that it has."""
    if not block.rows and isinstance(block.metric, OODMetric):
        return ("No row: the dataset has no near and no far OOD set.",)
    cells = [cell for row in block.rows for cell in row.cells]
    found = []
    if any(cell.rank == "best" for cell in cells):
        second = any(cell.rank == "second" for cell in cells)
        found.append("Bold: best of the column" + "; underlined: second best" * second + " (ties as printed).")
    if any(cell.kind in ("better", "worse") for cell in cells):
        found.append(f"*: significant at {100 * level_of(table.confidence):.4g} % by Holm over {family} comparisons.")
    return tuple(found)


def has_published(chosen: pd.DataFrame) -> bool:
    """Whether anything that was published for some of the rows is about the same images."""
    return "published" in chosen and bool(chosen["published"].notna().any())


def remarks(chosen: pd.DataFrame) -> tuple[str, ...]:
    """Why published figures are left out or disputed, one sentence for all cells of a reason."""
    if "published_note" not in chosen:
        return ()
    found: dict[str, None] = {}
    for line in chosen.to_dict("records"):
        if line["published_note"] and pd.notna(line["published_note"]):
            of = "ID accuracy" if line["set"] == "test" else f"{line['set']} mean"
            if pd.isna(line["published"]):
                found[f"Published {of} is {line['published_note']}."] = None
            else:
                row = f"{line['recipe']} by {line['detector']}" if line["detector"] else line["recipe"]
                found[f"{DISPUTED} Published {of} of {row} is disputed: {line['published_note']}."] = None
    return tuple(found)


def published_cells(line: Line, seeds: int) -> list[Cell]:
    """The published mean ± SD, and ours minus it.

    From five seeds on also whether it is within or beyond what chance allows, where both SDs are known.
    """
    if pd.isna(line["published"]):
        return [Cell(NONE), Cell(NONE)]
    difference = line["mean"] - line["published"]
    text, small = f"{line['published']:.2f}", ""
    disputed = bool(line["published_note"])
    if pd.notna(line["published_sd"]):
        text += f" ± {line['published_sd']:.2f}"
        if pd.notna(line["sd"]) and seeds >= FEWEST and not disputed:
            bound = agreement(line["sd"], line["published_sd"], seeds)
            small = f"{'within' if abs(difference) <= bound else 'beyond'} ±{bound:.1f}"
    text += f" {DISPUTED}" if disputed else ""
    found = Cell(text, value=round(float(line["published"]), 4))
    if pd.isna(difference):
        return [found, Cell(NONE)]
    return [found, Cell(f"{round(difference, 2) + 0.0:+.2f}", small, value=round(float(difference), 4))]


def gain_name(name: str, base: str, table: TableSettings) -> str:
    """A column's name; says the base where there are several."""
    return f"{name} over {base}" if len(table.baselines) > 1 else name


def value_cell(line: Line, interval: bool = True) -> Cell:
    """Mean ± SD, with the interval behind it."""
    if pd.isna(line["mean"]):
        return Cell(NONE)
    text = f"{line['mean']:.2f}"
    if pd.notna(line["sd"]):
        text += f" ± {line['sd']:.2f}"
    known = interval and pd.notna(line["low"])
    small = f"[{line['low']:.1f}, {line['high']:.1f}]" if known else ""
    return Cell(text, small, value=round(float(line["mean"]), 4))


def gain_cell(line: Line | None, metric: Metric, confidence: float) -> Cell:
    """Difference to the base in points, None for the base itself; marked where its corrected p-value is significant."""
    if line is None:
        return Cell(NONE, value=0)
    if pd.isna(line["gain"]):
        return Cell(NONE, "no seed in common")
    kind = ""
    if pd.notna(line["p"]) and line["p"] < level_of(confidence):
        kind = "better" if (line["gain"] > 0) != metric.lower_is_better else "worse"
    known = pd.notna(line["low"])
    small = f"[{points(line['low'])}, {points(line['high'])}]" if known else ""
    return Cell(points(line["gain"]), small, kind, round(float(line["gain"]), 4))


def note(table: TableSettings, evidence: Mapping[str, str] = {}) -> str:
    """What the numbers are, in words."""
    seeds = len(table.seeds)
    mean = "One seed" if seeds == 1 else f"Mean ± standard deviation (ddof 1) over {seeds} seeds"
    scope = (
        "for new images alone, since one seed cannot show how trainings differ"
        if seeds == 1
        else "for new seeds and new images: both as crossed random effects, the seeds' share by Student's t"
    )
    over = f"Gains are over {' and '.join(table.baselines)}, in points. " if table.baselines else ""
    return (
        f"{mean}; in brackets the {100 * table.confidence:.4g} % interval {scope} "
        f"({table.resamples} bootstrap resamples of the images, shared by all sets and recipes). {over}"
        f"{testing(table)}Near and far are unweighted means over their sets. "
        f"FPR95 with ID positive: share of OOD accepted when 95 % of ID is; with OOD positive: "
        f"share of ID rejected when 95 % of OOD is."
        + (" Full spectrum: ID images are the test images and those of the shifted sets." * table.full_spectrum)
        + "".join(f" {metric.note}" for metric in table.metrics if metric.note)
        + "".join(f" {name}: {text}" for name, text in evidence.items())
    )


def testing(table: TableSettings) -> str:
    """What is tested, in words."""
    if not table.baselines and not table.tests.detector_baselines:
        return ""
    if len(table.seeds) < FEWEST:
        return f"No gain is tested: that takes {FEWEST} seeds. "
    return (
        f"The gains in the lists are tested where both have {FEWEST} seeds, all together with Holm's correction; no "
        "other gain is. "
    )

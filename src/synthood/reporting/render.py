"""The table of `tabulate` for readers: Markdown, and one HTML page without any outside resource."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
import pandas as pd

from synthood.common.html import HEAD
from synthood.evaluation.metrics.base import IDMetric, Metric
from synthood.reporting.comparisons import FEWEST, Comparison
from synthood.reporting.published import agreement
from synthood.reporting.results import Results
from synthood.reporting.settings import TableSettings
from synthood.reporting.statistics import Estimate

DISPUTED = "†"

PAGE = (
    HEAD
    + """th,td{white-space:nowrap}
th{cursor:pointer;border-bottom:2px solid #9aa4af;background:#f6f8fa}
td.text,th.text{text-align:left}
small{color:#5b6570}
td.better{color:#0a6b2d;font-weight:600}td.worse{color:#a3200d;font-weight:600}
tr.base td{background:#fafbfc}
</style></head><body>
<h1>{{ title }}</h1>
<p>{{ note }}</p>
{% for block in blocks %}
<h2>{{ block.heading }}</h2>
<table><thead><tr>{% for name in block.header %}<th{% if loop.index0 < block.text %} class="text"{% endif %}>\
{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in block.rows %}<tr{% if row.base %} class="base"{% endif %}>\
{% for cell in row.cells %}<td{% if cell.kind %} class="{{ cell.kind }}"{% endif %} data-value="{{ cell.value }}">\
{{ cell.text }}{% if cell.small %} <small>{{ cell.small }}</small>{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
{% if block.sentences %}<p>{{ block.lead }}</p><ul>
{% for sentence in block.sentences %}<li>{{ sentence }}</li>
{% endfor %}</ul>{% endif %}
{% for remark in block.remarks %}<p>{{ remark }}</p>
{% endfor %}{% endfor %}
<script>
for (const head of document.querySelectorAll("th")) head.onclick = () => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex, down = head.dataset.down !== "1";
  head.dataset.down = down ? "1" : "0";
  const key = row => { const v = row.cells[column].dataset.value; return isNaN(v) ? v : Number(v); };
  [...body.rows].sort((a, b) => (key(a) < key(b) ? 1 : -1) * (down ? 1 : -1)).forEach(row => body.append(row));
};
</script></body></html>
"""
)


Line = dict[Hashable, Any]
"""A row of the long table."""


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and what it sorts by."""

    text: str
    small: str = ""
    kind: str = ""
    value: float | str = ""


@dataclass(frozen=True)
class Row:
    cells: list[Cell]
    base: bool


@dataclass(frozen=True)
class Block:
    """One rendered table: a dataset and a metric; the first `text` columns are names, sentences and remarks follow."""

    heading: str
    header: list[str]
    rows: list[Row]
    text: int
    lead: str = ""
    sentences: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def blocks(results: Results, table: TableSettings) -> list[Block]:
    """The tables in the order of the settings' columns."""
    result = []
    for dataset in table.datasets:
        for metric in table.metrics:
            chosen = Results(*(rows[(rows["dataset"] == dataset) & (rows["metric"] == metric.key)] for rows in results))
            heading = f"{metric.title} on {dataset}, %"
            if isinstance(metric, IDMetric):
                result.append(id_block(chosen, table, heading, metric))
            else:
                result.append(ood_block(chosen, table, heading, metric))
    return result


def ood_block(chosen: Results, table: TableSettings, heading: str, metric: Metric) -> Block:
    """Rows: detector and recipe. Columns: near, far, their gains, then every set."""
    values, gains = chosen
    sets = [name for name in dict.fromkeys(values["set"]) if name not in ("near", "far")]
    header = ["detector", "recipe"]
    published = has_published(values)
    roles = [role for role in ("near", "far") if role in set(values["set"])]
    for role in roles:
        header += [role, *(gain_name(f"gain {role}", base, table) for base in table.baselines)]
        header += [f"published {role}", "difference"] if published else []
    header += sets
    found = by(values, "detector", "recipe", "set")
    over = by(gains, "detector", "recipe", "set", "base")
    lines = []
    for detector in table.detectors:
        for recipe in table.recipes:
            cells = [Cell(detector, kind="text", value=detector), Cell(recipe, kind="text", value=recipe)]
            for role in roles:
                own = found[detector, recipe, role]
                lines_over = [over.get((detector, recipe, role, base)) for base in table.baselines]
                cells += [value_cell(own), *(gain_cell(line, metric) for line in lines_over)]
                cells += published_cells(own, len(table.seeds)) if published else []
            cells += [value_cell(found[detector, recipe, name], interval=False) for name in sets]
            lines.append(Row(cells, recipe in table.baselines))
    lead = f"By {table.detectors[0]}:"
    return Block(heading, header, lines, 2, lead, sentences(gains, table), remarks(values))


def by(rows: pd.DataFrame, *keys: str) -> dict[tuple[str, ...], Line]:
    """The rows by the values of some columns."""
    return {tuple(line[key] for key in keys): line for line in rows.to_dict("records")}


def sentences(gains: pd.DataFrame, table: TableSettings) -> tuple[str, ...]:
    """Every recipe against every base on near and far OOD, in words, where the settings compare them."""
    return tuple(
        Comparison(
            line["recipe"],
            line["base"],
            line["set"],
            Estimate(line["gain"] / 100, float("nan"), line["low"] / 100, line["high"] / 100),
            line["seeds"],
            table.confidence,
            None if pd.isna(line["p"]) else line["p"],
        ).sentence()
        for line in gains.to_dict("records")
        if table.compared(line["detector"], line["set"], line["metric"])
    )


def id_block(chosen: Results, table: TableSettings, heading: str, metric: IDMetric) -> Block:
    """A row per recipe."""
    values, gains = chosen
    found, over = by(values, "recipe"), by(gains, "recipe", "base")
    published = has_published(values)
    lines = []
    for recipe in table.recipes:
        own = found[(recipe,)]
        cells = [Cell(recipe, kind="text", value=recipe), value_cell(own)]
        cells += [gain_cell(over.get((recipe, base)), metric) for base in table.baselines]
        cells += published_cells(own, len(table.seeds)) if published else []
        lines.append(Row(cells, recipe in table.baselines))
    header = ["recipe", metric.column, *(gain_name("gain", base, table) for base in table.baselines)]
    header += ["published", "difference"] if published else []
    return Block(heading, header, lines, 1, remarks=remarks(values))


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
        return [Cell("–", value=""), Cell("–", value="")]
    difference = line["mean"] - line["published"]
    text, small = f"{line['published']:.2f}", ""
    disputed = bool(line["published_note"])
    if pd.notna(line["published_sd"]):
        text += f" ± {line['published_sd']:.2f}"
        if pd.notna(line["sd"]) and seeds >= FEWEST and not disputed:
            bound = agreement(line["sd"], line["published_sd"], seeds)
            small = f"{'within' if abs(difference) <= bound else 'beyond'} ±{bound:.1f}"
    text += f" {DISPUTED}" if disputed else ""
    shown = Cell(f"{round(difference, 2) + 0.0:+.2f}", small, value=round(float(difference), 4))
    return [Cell(text, value=round(float(line["published"]), 4)), shown]


def gain_name(name: str, base: str, table: TableSettings) -> str:
    """A column's name; says the base where there are several."""
    return f"{name} over {base}" if len(table.baselines) > 1 else name


def value_cell(line: Line, interval: bool = True) -> Cell:
    """Mean ± SD, with the interval behind it."""
    text = f"{line['mean']:.2f}"
    if pd.notna(line["sd"]):
        text += f" ± {line['sd']:.2f}"
    small = f"[{line['low']:.1f}, {line['high']:.1f}]" if interval else ""
    return Cell(text, small, value=round(float(line["mean"]), 4))


def gain_cell(line: Line | None, metric: Metric) -> Cell:
    """Difference to the base in points, None for the base itself; from five seeds on marked where its interval leaves
    out zero."""
    if line is None:
        return Cell("–", value=0)
    sign, kind = -1 if metric.lower_is_better else 1, ""
    if line["seeds"] >= FEWEST:
        kind = "better" if min(sign * line["low"], sign * line["high"]) > 0 else ""
        kind = "worse" if max(sign * line["low"], sign * line["high"]) < 0 else kind
    low, high = (round(float(line[bound]), 1) + 0.0 for bound in ("low", "high"))
    small = f"[{low:+.1f}, {high:+.1f}]"
    return Cell(f"{round(line['gain'], 2) + 0.0:+.2f}", small, kind, round(float(line["gain"]), 4))


def marking(seeds: int) -> str:
    """What is marked, in words."""
    if seeds < FEWEST:
        return f"No gain is marked or tested: that takes {FEWEST} seeds."
    return "A gain is marked where its interval leaves out zero, without a correction for the number of cells."


def note(table: TableSettings, evidence: Mapping[str, str] = {}) -> str:
    """What the numbers are, in words."""
    seeds = len(table.seeds)
    mean = "One seed" if seeds == 1 else f"Mean ± standard deviation (ddof 1) over {seeds} seeds"
    scope = (
        "for new images alone, since one seed cannot show how trainings differ"
        if seeds == 1
        else "for new seeds and new images: both as crossed random effects, the seeds' share by Student's t"
    )
    return (
        f"{mean}; in brackets the {100 * table.confidence:.4g} % interval {scope} "
        f"({table.resamples} bootstrap resamples of the images, shared by all sets and recipes). {marking(seeds)} "
        f"Gains are over {' and '.join(table.baselines)}, in points; near and far are unweighted "
        f"means over their sets. FPR95 with ID positive: share of OOD accepted when 95 % of ID is; with OOD positive: "
        f"share of ID rejected when 95 % of OOD is."
        + (" Full spectrum: ID images are the test images and those of the shifted sets." * table.full_spectrum)
        + "".join(f" {metric.note}" for metric in table.metrics if metric.note)
        + "".join(f" {name}: {text}" for name, text in evidence.items())
    )


def markdown(results: Results, table: TableSettings, evidence: Mapping[str, str] = {}) -> str:
    """The tables in Markdown; a marked gain is bold."""
    parts = [f"# {plain(table.title)}" if table.title else "", plain(note(table, evidence))]
    for block in blocks(results, table):
        lines = [" | ".join(block.header), " | ".join(["---"] * len(block.header))]
        for row in block.rows:
            lines.append(" | ".join(markdown_cell(cell) for cell in row.cells))
        parts.append(f"## {block.heading}\n\n" + "\n".join(f"| {line} |" for line in lines))
        if block.sentences:
            parts.append(f"{block.lead}\n\n" + "\n".join(f"- {sentence}" for sentence in block.sentences))
        parts += map(plain, block.remarks)
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Text of a configuration on one line of Markdown, without tags."""
    return " ".join(text.split()).replace("<", "\\<")


def markdown_cell(cell: Cell) -> str:
    text = f"{cell.text} {cell.small}".strip()
    return f"**{text}**" if cell.kind in ("better", "worse") else text


def html_page(results: Results, table: TableSettings, evidence: Mapping[str, str] = {}) -> str:
    """The tables as one page: sorted by a click on a column's name; marked gains green (better) or red (worse)."""
    template = jinja2.Environment(autoescape=True).from_string(PAGE)
    return template.render(title=table.title or "Results", note=note(table, evidence), blocks=blocks(results, table))

"""The report page as one HTML file: template, style and scripts put together, with nothing from outside."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import yaml

from synthood.reporting.page.checks import Warned
from synthood.reporting.page.files import asset
from synthood.reporting.page.tables import Report, leaderboards, papers_of
from synthood.reporting.page.times import Cost, duration
from synthood.reporting.page.verdict import best_sentences, chance

COLUMN = 560
"""Pixels of a column of figures."""
MOST_DOWNLOAD = 1_000_000
"""Bytes of a CSV file that the page holds."""


@dataclass(frozen=True)
class Parts:
    """All that the page shows."""

    reports: Sequence[Report]
    warnings: Sequence[Warned] = ()
    figures: Sequence[Mapping[str, Any]] = ()
    galleries: Sequence[Mapping[str, Any]] = ()
    costs: Sequence[Cost] = ()
    files: Sequence[Path] = ()
    """CSV files to download."""
    configuration: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    papers: Mapping[str, Sequence[str]] = field(default_factory=dict)


def as_yaml(canonical: str) -> str:
    """The configuration's canonical JSON as YAML."""
    content = json.loads(canonical) if canonical else {}
    return yaml.safe_dump(content, sort_keys=True, default_flow_style=None, width=110, allow_unicode=True)


def as_json(value: Any) -> str:
    """JSON for a script element: no tag can begin in it, and a number is finite."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def policy(scripts: Sequence[str]) -> str:
    """What the browser may do: run these scripts, and ask no address for anything."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def build(parts: Parts) -> str:
    """The whole page."""
    boards = [board for report in parts.reports for board in leaderboards(report)]
    papers = papers_of(parts.papers)
    data = {
        "boards": boards,
        "papers": papers,
        "outside": {report.name: report.settings.outside for report in parts.reports},
        "figures": [
            {key: one[key] for key in ("table", "name", "title", "spec") if key != "spec" or not timed(one)}
            for one in parts.figures
        ],
        "images": [one["image"] for one in parts.galleries],
    }
    scripts = {name: asset(f"{name}.js") for name in ("theme", "vega", "page")}
    sections = by_section(parts.figures)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(asset("page.html"))
    return template.render(
        title=title_of(parts.reports),
        policy=policy(list(scripts.values())),
        style=asset("style.css"),
        theme=scripts["theme"],
        vega=scripts["vega"],
        script=scripts["page"],
        contents=contents(sections, bool(parts.galleries)),
        tables=[shown(report) for report in parts.reports],
        papers=papers,
        warnings=[warning(one, parts.reports) for one in parts.warnings],
        sections=sections,
        galleries=parts.galleries,
        downloads=[download(path) for path in parts.files],
        configuration=parts.configuration,
        versions=parts.versions,
        costs=as_json(
            {
                **cost_table(parts.costs),
                "figures": {str(at): one["spec"] for at, one in enumerate(parts.figures) if timed(one)},
            }
        ),
        data=as_json(data),
    )


def title_of(reports: Sequence[Report]) -> str:
    """Of one table its title; of several their titles, each once, as long as they are few."""
    titles = list(dict.fromkeys(report.title for report in reports))
    return titles[0] if len(titles) == 1 else f"Report: {', '.join(titles)}" if len(titles) < 4 else "Report"


def shown(report: Report) -> dict[str, Any]:
    """What the template says of a table."""
    return {
        "name": report.name,
        "title": report.title,
        "best": best_sentences(report),
        "chance": chance(report),
        "evidence": report.settings.evidence,
    }


def warning(one: Warned, reports: Sequence[Report]) -> dict[str, str]:
    """A warning, which names its table where there are several."""
    lead = f"{one.table}: " if one.table and len(reports) > 1 else ""
    return {"check": one.check, "table": one.table, "text": lead + one.text}


def by_section(figures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The figures of each section, with their place in the page's data; those with nothing to show apart."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for index, one in enumerate(figures):
        own = found.setdefault(one["section"], {"figures": [], "empty": []})
        own["empty" if one.get("empty") else "figures"].append({**one, "index": index, "wide": is_wide(one["spec"])})
    return [{"name": name, **own} for name, own in found.items()]


def timed(figure: Mapping[str, Any]) -> bool:
    """Whether a figure shows times, so that it differs from run to run."""
    return figure["name"] == "run_time"


def is_wide(spec: Mapping[str, Any]) -> bool:
    """Whether a figure's own width needs both columns of the page."""
    width = spec.get("width")
    return isinstance(width, int | float) and width > COLUMN


def contents(sections: Sequence[Mapping[str, Any]], pictures: bool) -> list[tuple[str, str]]:
    """Links to the sections."""
    figures = [(f"section-{number}", section["name"]) for number, section in enumerate(sections, 1)]
    galleries = [("galleries", "Galleries")] * pictures
    return [
        ("summary", "Summary"),
        ("leaderboard", "Leaderboard"),
        *figures,
        *galleries,
        ("run", "Time and configuration"),
    ]


def download(path: Path) -> dict[str, str]:
    """A CSV file, in base64 unless it is too large."""
    content = path.read_bytes()
    whole = base64.b64encode(content).decode() if len(content) <= MOST_DOWNLOAD else ""
    return {"name": path.name, "file": path.as_posix(), "data": whole, "size": f"{len(content) / 1000:.0f} kB"}


HEAD = ("stage", "jobs", "time, all jobs", "longest job", "CPU time", "memory at most")


def cost_table(costs: Sequence[Cost]) -> dict[str, Sequence[Sequence[str]]]:
    """Heads and rows; beside the times those of `synthood plan`, where it foretold any."""
    compared = [cost.compared() for cost in costs]
    rows = [cost_row(cost) for cost in costs]
    if not any(compared):
        return {"head": HEAD, "rows": rows}
    foretold, error, taken = (sum(getattr(cost, key) for cost in costs) for key in ("foretold", "error", "taken"))
    whole = Cost("all that was foretold", foretold=foretold, error=error, taken=taken)
    last = [whole.stage, "", "", "", duration(taken), "", whole.compared()]
    head = (*HEAD, "CPU time as foretold")
    return {"head": head, "rows": [*([*row, told or "–"] for row, told in zip(rows, compared, strict=True)), last]}


def cost_row(cost: Cost) -> list[str]:
    """A stage's cells."""
    cpu = duration(cost.cpu) if cost.cpu else "–"
    memory = f"{cost.memory / 1024:.2f} GiB" if cost.memory else "–"
    return [cost.stage, str(cost.jobs), duration(cost.seconds), duration(cost.longest), cpu, memory]

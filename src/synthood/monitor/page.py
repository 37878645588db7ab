"""The monitor's page: one HTML file without scripts or outside addresses, light and dark."""

import math
from collections.abc import Sequence
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from synthood.deploy.page import STYLE
from synthood.monitor.charts import Mark, chart, steps
from synthood.monitor.periods import TESTS, Judgement

SHOWN = 12
"""Classes in the page's table: those whose shares differ most."""
FLOOR = 1e-6
"""The least adjusted p-value that a chart tells apart."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{ title }}</title><style>{{ style | safe }}
body{max-width:60rem}
.charts{display:grid;gap:0 1.5rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr))}
figure h2{border:0;margin:0 0 .3rem}figcaption{font-size:.85rem}
.grid{stroke:var(--line)}.band{fill:var(--id);opacity:.15}
.calm path{stroke:var(--id);stroke-width:1.5}.calm circle{fill:var(--id)}
.alarm path{stroke:var(--ood);stroke-width:2}.alarm circle{fill:var(--ood)}
.verdict{border-left:4px solid var(--id);background:var(--soft);padding:.6rem .9rem}
.verdict.raised{border-color:var(--ood)}
.promise{font-size:.85rem}td,th{white-space:nowrap}td.number,th.number{text-align:right}tr.raised td{color:var(--ood)}
td.path{white-space:normal;overflow-wrap:anywhere;min-width:9rem}
.wide{max-height:32rem;overflow:auto}thead th{position:sticky;top:0;background:var(--back)}
</style></head>
<body>
<h1>{{ title }}</h1>
<p class="verdict{{ ' raised' if raised }}">{{ verdict }}</p>
{% if notes %}<ul>{% for note in notes %}<li>{{ note }}.</li>{% endfor %}</ul>{% endif %}
<div class="charts">
{% for one in charts %}<figure><h2>{{ one.heading }}</h2>{{ one.svg | safe }}
<figcaption>{{ one.caption }}</figcaption></figure>
{% endfor %}<p class="promise">{{ promise }}</p></div>
{% for one in tables %}
<h2>{{ one.heading }}</h2>
<p>{{ one.caption }}</p>
<div class="wide"><table><thead><tr>
{% for name in one.header %}<th class="{{ one.kinds[loop.index0] }}">{{ name }}</th>\
{% endfor %}</tr></thead><tbody>
{% for row in one.rows %}<tr{% if row.raised %} class="raised"{% endif %}>{% for cell in row.cells %}\
<td class="{{ one.kinds[loop.index0] }}">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endfor %}
</body></html>
"""


def page(
    found: Judgement,
    periods: pd.DataFrame,
    classes: pd.DataFrame,
    images: pd.DataFrame,
    names: Sequence[str],
    level: float,
    verdict: str,
    notes: Sequence[str],
) -> str:
    """The page of what `periods`, `classes` and `images` hold."""
    some = f"{', '.join(names[:5])}{', ...' * (len(names) > 5)}"
    title = f"Monitor of the classifier of {some}"
    text = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(PAGE)
    return text.render(
        title=title,
        style=STYLE,
        verdict=verdict,
        raised=bool(found.alarms),
        notes=notes,
        charts=[rates(found, periods, level), confidences(found), evidence(found, periods)],
        promise=promise(found),
        tables=[period_table(found, periods), class_shares(classes, names), least_typical(images)],
    )


def promise(found: Judgement) -> str:
    """What an alarm means."""
    return (
        f"If new images are drawn like the {found.reference.name}, the chance that any period ever raises an alarm is "
        f"at most {percent(found.alpha)}, however often one looks: the t-th period may spend 1/(t(t+1)) of it, shared "
        f"by {2 * len(found.alert)} tests ({', '.join(found.alert)}; of the period, and of the last {found.window} "
        f"together). An adjusted p-value is the test's own times {2 * len(found.alert)} t(t+1). Tests: "
        f"{'; '.join(f'{name}: {what}' for name, what in TESTS.items())}."
    )


def rates(found: Judgement, periods: pd.DataFrame, level: float) -> dict[str, Any]:
    least, most = found.reference.interval
    high = min(1.0, 1.1 * max(float(np.nanmax(periods["rate"])) * 1.2, most * 1.5))
    marks = [
        mark(
            found,
            at,
            row["rate"],
            row["rate_low"],
            row["rate_high"],
            f"{row['period']}: {row['rejected']} of {row['images']} rejected, {percent(row['rate'])} "
            f"({percent(row['rate_low'])} to {percent(row['rate_high'])})",
        )
        for at, row in shown(found, periods)
    ]
    ticks = [(value, percent(value)) for value in steps(0, high)]
    svg = chart(
        "Rejection rate of each period", marks, axis(found), (least, most), found.reference.rate, 0, high, ticks
    )
    return figure(
        "Rejected images",
        svg,
        f"Rejected at level {percent(level)}, with Wilson's 95 % interval. Dashed: {percent(found.reference.rate)}; "
        f"shaded: the true rate's 95 % interval by {found.reference.name}. Orange: alarm.",
    )


def confidences(found: Judgement) -> dict[str, Any]:
    known = np.percentile(found.reference.confidences, (5, 50, 95)).tolist()
    each = {
        at: np.percentile(one.confidences, (5, 50, 95)).tolist() for at, one in enumerate(found.periods) if len(one)
    }
    ends = [*known, *(value for values in each.values() for value in values)]
    low, high = min(ends), max(ends)
    pad = 0.06 * (high - low) or 1.0
    low, high = low - pad, high + pad
    marks = [
        mark(
            found, at, middle, first, last, f"{found.periods[at].name}: median {middle:.4g}, {first:.4g} to {last:.4g}"
        )
        for at, (first, middle, last) in each.items()
    ]
    ticks = [(value, f"{value:.4g}") for value in steps(low, high)]
    svg = chart("Confidence of each period", marks, axis(found), (known[0], known[2]), known[1], low, high, ticks)
    return figure("Confidence", svg, f"Median and central 90 %; dashed and shaded: those of {found.reference.name}.")


def evidence(found: Judgement, periods: pd.DataFrame) -> dict[str, Any]:
    def height(p: float) -> float:
        return -math.log10(max(p, FLOOR))

    marks = []
    for at, row in shown(found, periods):
        if (p := row["p_adjusted"]) == p:
            h = height(p)
            marks.append(mark(found, at, h, h, h, f"{row['period']}: adjusted p-value {small(p)}"))
    high = height(FLOOR)
    ticks = [(float(k), "1" if not k else f"1e-{k}") for k in range(0, 7, 2)]
    svg = chart("Adjusted p-value of each period", marks, axis(found), None, height(found.alpha), 0, 1.05 * high, ticks)
    return figure(
        "Evidence of drift", svg, f"The least adjusted p-value; above the dashed line ({found.alpha:g}): alarm."
    )


def figure(heading: str, svg: str, caption: str) -> dict[str, Any]:
    return {"heading": heading, "svg": svg, "caption": caption}


def shown(found: Judgement, periods: pd.DataFrame) -> list[tuple[int, Any]]:
    """Number and row of the periods with a readable image."""
    return [(at, row) for at, row in enumerate(periods.to_dict("records")) if len(found.periods[at])]


def mark(found: Judgement, at: int, value: float, low: float, high: float, title: str) -> Mark:
    return Mark(found.periods[at].place, value, low, high, title, at in found.alarms)


def axis(found: Judgement) -> list[tuple[float, str]]:
    return [(one.place, one.name) for one in found.periods]


def period_table(found: Judgement, periods: pd.DataFrame) -> dict[str, Any]:
    header = ["period", "images", "unreadable", "rejected", "rate", "95 %", "adjusted p", "alarm"]
    rows = [
        {
            "cells": [
                row["period"],
                row["images"],
                row["unreadable"],
                row["rejected"],
                percent(row["rate"]),
                f"{percent(row['rate_low'])} to {percent(row['rate_high'])}" if row["images"] else "–",
                small(row["p_adjusted"]),
                row["alarm"],
            ],
            "raised": at in found.alarms,
        }
        for at, row in enumerate(periods.to_dict("records"))
    ]
    kinds = ["", "number", "number", "number", "number", "number", "number", ""]
    return {"heading": "Periods", "caption": "", "header": header, "kinds": kinds, "rows": rows}


def class_shares(classes: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    grouped = classes.groupby("label", sort=False)
    total = grouped["images"].sum()
    share, known = total / total.sum(), grouped["reference_share"].first()
    order = (share - known).abs().sort_values(ascending=False, kind="stable").index[:SHOWN]
    rows = []
    for label in order:
        own = classes[classes["label"] == label]
        least = own.loc[own["p_value"].idxmin()]
        cells = [label, percent(known[label]), percent(share[label]), least["period"], percent(least["share"])]
        rows.append({"cells": [*cells, small(least["p_value"])], "raised": False})
    left = f" Not shown: {len(names) - SHOWN} classes whose shares differ less." if len(names) > SHOWN else ""
    return {
        "heading": "Predicted classes",
        "caption": "Share of each predicted class in the reference and in all periods, and the period that differs "
        f"most.{left}",
        "header": ["class", "reference", "all periods", "period", "share there", "p-value there"],
        "kinds": ["path", "number", "number", "", "number", "number"],
        "rows": rows,
    }


def least_typical(images: pd.DataFrame) -> dict[str, Any]:
    rows = [
        {
            "cells": [row["path"], row["period"], row["label"], small(row["p_value"]), f"{row['confidence']:.5g}"],
            "raised": False,
        }
        for row in images.to_dict("records")
    ]
    return {
        "heading": "Least typical images",
        "caption": "Those with the lowest p-values.",
        "header": ["path", "period", "predicted", "p-value", "confidence"],
        "kinds": ["path", "path", "", "number", "number"],
        "rows": rows,
    }


def percent(value: float) -> str:
    return "–" if value != value else f"{100 * value:.3g}\N{NO-BREAK SPACE}%"


def small(value: float) -> str:
    """A p-value."""
    return "–" if value != value else f"{value:.2g}" if value >= 1e-4 else f"{value:.0e}"

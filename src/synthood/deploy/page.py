"""The model card as one HTML file: the Markdown card's text, and a picture of confidences where images gave any."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from synthood.deploy.card import Facts, card, share

BINS = 40
WIDTH, ROW, LEFT, FOOT = 640, 54, 110, 34
"""Of the picture, in pixels: a row for each set, names left of it, the axis below."""
STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--back:#fff;--line:#d8dde3;--soft:#f4f6f8;--id:#2563a8;--ood:#b4530a}
@media(prefers-color-scheme:dark){:root{--text:#e4e8ee;--back:#14181d;--line:#39414b;--soft:#1e242b;--id:#7db4f0;
--ood:#f0a35e}}
body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:0 auto;padding:1rem;color:var(--text);
background:var(--back);overflow-wrap:break-word}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.15rem;border-bottom:1px solid var(--line);margin-top:2rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;text-align:left;border-bottom:1px solid var(--line)}
pre,code{background:var(--soft);border-radius:4px}pre{padding:.7rem;overflow-x:auto}code{padding:0 .2rem}
figure{margin:1rem 0}svg{width:100%;height:auto}svg text{fill:var(--text);font:12px system-ui,sans-serif}
.id{fill:var(--id)}.ood{fill:var(--ood)}.axis{stroke:var(--text)}.cut{stroke:var(--text);stroke-dasharray:4 3}
@media print{:root{color-scheme:light;--text:#000;--back:#fff;--line:#999;--soft:#eee;--id:#2563a8;--ood:#b4530a}
body{max-width:none;font-size:11pt}table,figure{break-inside:avoid}h2{break-after:avoid}}
"""


def page(facts: Facts) -> str:
    """The card's text as HTML without scripts or other files, the picture below what was measured."""
    from markdown_it import MarkdownIt

    body = str(MarkdownIt("js-default", {"linkify": False}).render(card(facts)))
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    body = body.replace("<h2>Limits</h2>", picture(facts) + "<h2>Limits</h2>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(', '.join(facts['classes'][:5]))}: model card</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}</body></html>\n"
    )


def histograms(sets: Mapping[str, ArrayLike]) -> dict[str, Any]:
    """Counts of each set's confidences [N] in bins over the central 99 % of all; what is beyond counts at the ends."""
    if not sets:
        return {}
    found = {name: np.asarray(values, np.float64) for name, values in sets.items()}
    low, high = np.percentile(np.concatenate(list(found.values())), (0.5, 99.5)).tolist()
    edges = np.linspace(low, max(high, low + 1e-9 * max(1.0, abs(low))), BINS + 1)
    counts = [(name, np.histogram(x.clip(edges[0], edges[-1]), edges)[0].tolist()) for name, x in found.items()]
    return {"edges": edges.tolist(), "counts": counts}


def picture(facts: Facts) -> str:
    """Confidences of ID test images and OOD sets as SVG, with the thresholds that hold for all classes."""
    known = facts["histograms"]
    if not known:
        return ""
    low, high = known["edges"][0], known["edges"][-1]
    sets, inside = known["counts"], facts["measured"]["count"] > 0
    pooled = [one for one in facts["thresholds"] if one["group"] == "all classes" and low < one["threshold"] < high]
    top = 13 * len(pooled)
    height = top + ROW * len(sets) + FOOT
    step = (WIDTH - LEFT) / BINS
    parts = []
    for row, (name, counts) in enumerate(sets):
        floor, most = top + ROW * (row + 1), max(counts)
        bars = "".join(
            f"M{LEFT + step * place:.1f} {floor}v{-(ROW - 8) * count / most:.1f}h{step - 1:.1f}V{floor}z"
            for place, count in enumerate(counts)
            if count
        )
        parts.append(f'<path class="{"id" if inside and not row else "ood"}" d="{bars}"/>')
        parts.append(f'<text x="0" y="{floor - 8}">{escape(name if len(name) < 17 else name[:15] + "…")}</text>')
    for number, one in enumerate(pooled):
        x = LEFT + (WIDTH - LEFT) * (one["threshold"] - low) / (high - low)
        parts.append(f'<path class="cut" d="M{x:.1f} {2 + 13 * number}V{height - FOOT}"/>')
        parts.append(f'<text x="{x + 3:.1f}" y="{12 + 13 * number}">{share(one["level"])}</text>')
    floor = height - FOOT
    parts.append(f'<path class="axis" d="M{LEFT} {floor}H{WIDTH}"/>')
    parts.append(f'<text x="{LEFT}" y="{floor + 15}">{low:.4g}</text>')
    parts.append(f'<text x="{WIDTH}" y="{floor + 15}" text-anchor="end">{high:.4g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{floor + 28}" text-anchor="middle">confidence</text>')
    cuts = "Dashed: thresholds, below which images are rejected. " * bool(pooled)
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Histograms of confidence">'
        f"{''.join(parts)}</svg><figcaption>Confidence of each set, its tallest bar at full height. {cuts}Values "
        f"beyond the ends count at the ends.</figcaption></figure>\n"
    )

"""A table as one HTML page without any outside resource."""

from collections.abc import Mapping

import jinja2

from synthood.common.html import HEAD
from synthood.reporting.render import blocks, note
from synthood.reporting.results import Results
from synthood.reporting.settings import Role, TableSettings

PAGE = (
    HEAD
    + """:root{color-scheme:light dark;--ground:#fff;--text:#1b1f24;--quiet:#57606a;--line:#d0d7de;--head:#f6f8fa;
--better:#0550ae;--worse:#953800}
@media (prefers-color-scheme:dark){:root{--ground:#0d1117;--text:#e6edf3;--quiet:#9198a1;--line:#3d444d;
--head:#151b23;--better:#79c0ff;--worse:#ffa657}}
body{background:var(--ground);color:var(--text);max-width:none}
body>p,body>ul,h1{max-width:75rem;overflow-wrap:anywhere}
.wide{overflow:auto;max-height:90vh;max-width:100%;margin:.5rem 0}
table{margin:0}
th,td{white-space:nowrap;border-bottom:1px solid var(--line);background:var(--ground)}
thead th{position:sticky;top:0;z-index:2;background:var(--head)}
th.first,td.first{position:sticky;left:0;z-index:1}
thead th.first{z-index:3}
th button{font:inherit;font-weight:600;color:inherit;background:none;border:0;padding:0;cursor:pointer}
th[aria-sort=descending] button::after{content:" \\2193"}
th[aria-sort=ascending] button::after{content:" \\2191"}
td.text,th.text{text-align:left}
small,p.legend{color:var(--quiet)}
td.better{color:var(--better)}td.worse{color:var(--worse)}
b{font-weight:700}u{text-decoration-thickness:2px;text-underline-offset:3px}
tr.base td{background:var(--head)}
tr.summary td{border-bottom:2px solid var(--line);font-style:italic}
</style></head><body>
<h1 dir="auto">{{ title }}</h1>
<p dir="auto">{{ note }}</p>
{% for block in blocks %}
<h2>{{ block.heading }}</h2>
<div class="wide" tabindex="0" role="region" aria-label="{{ block.heading }}">
<table><thead><tr>{% for name in block.header %}<th scope="col" aria-sort="none"\
{% if loop.index0 < block.text %} class="text{% if loop.last or loop.index0 == block.text - 1 %} first{% endif %}"\
{% endif %}><button type="button">{{ name }}</button></th>{% endfor %}</tr></thead><tbody>
{% for row in block.rows %}<tr{% if row.summary %} class="summary"{% elif row.base %} class="base"{% endif %}>\
{% for cell in row.cells %}<td{% if cell.kind %} class="{{ cell.kind }}\
{% if loop.index0 == block.text - 1 %} first{% endif %}"{% endif %} data-value="{{ cell.value }}">\
{% if cell.rank == "best" %}<b>{{ cell.text }}</b>{% elif cell.rank == "second" %}<u>{{ cell.text }}</u>\
{% else %}{{ cell.text }}{% endif %}{% if cell.kind in ("better", "worse") %}*{% endif %}\
{% if cell.small %} <small>{{ cell.small }}</small>{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% if block.legend %}<p class="legend">{{ block.legend | join(" ") }}</p>
{% endif %}{% for lead, sentences in block.tests %}<p>{{ lead }}</p><ul>
{% for sentence in sentences %}<li>{{ sentence }}</li>
{% endfor %}</ul>{% endfor %}
{% for remark in block.remarks %}<p dir="auto">{{ remark }}</p>
{% endfor %}{% endfor %}
<script>
for (const head of document.querySelectorAll("th")) head.firstChild.onclick = () => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => { const v = row.cells[column].dataset.value; return v === "" || isNaN(v) ? v : Number(v); };
  const order = (a, b) => a === b ? 0 : a === "" ? 1 : b === "" ? -1 : (a < b ? 1 : -1) * (down ? 1 : -1);
  [...body.rows].sort((a, b) => order(key(a), key(b))).forEach(row => body.append(row));
};
</script></body></html>
"""
)


def html_page(
    results: Results, table: TableSettings, evidence: Mapping[str, str] = {}, alone: Mapping[Role, str] = {}
) -> str:
    """Sorted by the buttons of its heads; best in bold, second best underlined, significant gains coloured, with *."""
    template = jinja2.Environment(autoescape=True).from_string(PAGE)
    shown = blocks(results, table, alone)
    return template.render(title=table.title or "Results", note=note(table, evidence), blocks=shown)

"""docs/config.md: a part per key of the top level, a table per section, a row per key."""

import re
from collections import defaultdict

from synthood.config.keys import NAME, Key, Tag, all_keys, first_paragraph, nested
from synthood.config.renames import RENAMES, Rename

HEAD = """# Configuration keys

Written by `synthood schema --markdown`. NAME is a name that you choose. Where a section can be of several kinds, each
kind is followed by its keys. `like: OTHER` in a recipe and `benchmark: OTHER` in a dataset take those keys first.
`synthood explain KEY` prints one key and where it is used; [glossary.md](glossary.md) explains the terms.
"""
COLUMNS = "| key | type | default | meaning | paper |\n| --- | --- | --- | --- | --- |\n"
OLD_NAMES = """
## Names in version 1

Files of version 1 are read by these names; `synthood check --upgrade FILE` writes the new ones.

| section | version 1 | version 2 |
| --- | --- | --- |
"""


def markdown() -> str:
    """The page; a section that occurs in several places is printed at one and linked from the others."""
    places: dict[tuple[str | Tag, ...], list[Key]] = defaultdict(list)
    for key in all_keys():
        if key.path[-1] != NAME:
            above = key.path[:-1]
            places[above[:-1] if above and isinstance(above[-1], Tag) else above].append(key)
    headings: dict[int, str] = {}
    for place in sorted(places, key=len):
        for row in places[place]:
            headings.setdefault(id(row.owner), str(Key(place, {}, {})))
    text, part = HEAD, ""
    for place, rows in places.items():
        if str(Key(place, {}, {})) not in (headings[id(row.owner)] for row in rows):
            continue
        if place[:1] != (part,):
            part = str(place[0]) if place else "Top level"
            text += f"\n## {part}\n"
        if len(place) > 1:
            text += f"\n### {Key(place, {}, {})}\n"
        text += _table(rows, headings)
    return text + OLD_NAMES + "".join(map(_old_name, RENAMES))


def _table(rows: list[Key], headings: dict[int, str]) -> str:
    """Docstring and keys of a section; of several kinds, each kind's docstring in a row of its own."""
    kinds = any(isinstance(row.path[-1], Tag) for row in rows)
    about = "" if kinds else first_paragraph(rows[0].owner)
    lines = [_row(row, headings) for row in rows if not (kinds and row.is_tag)]
    return (f"\n{about}\n" if about else "") + f"\n{COLUMNS}{''.join(lines)}"


def _row(key: Key, headings: dict[int, str]) -> str:
    last = key.path[-1]
    found = nested(key.node)
    kind = key.type
    if found and not isinstance(last, Tag) and (heading := headings.get(id(found[0]))):
        kind = f"[{kind}](#{_anchor(heading)})"
    papers = [f"[{one}](https://arxiv.org/abs/{one})" if one[0].isdigit() else one for one in key.papers]
    name = f"**{last.key}: {', '.join(last.values)}**" if isinstance(last, Tag) else f"`{last}`"
    meaning = re.sub(r" \(arXiv [\d.]+\)|, arXiv [\d.]+(?=\))", "", key.meaning)
    if isinstance(last, Tag):
        meaning = f"{meaning} {key.owner.get('x-facts', '')}".strip()
    cells = [name, "" if isinstance(last, Tag) else kind, key.default, meaning, ", ".join(papers)]
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return re.sub(" +", " ", f"| {' | '.join(escaped)} |\n")


def _old_name(one: Rename) -> str:
    value = f"{one.of}: " if one.of else ""
    return f"| `{one.section.replace('*', NAME)}` | `{value}{one.old}` | `{value}{one.new}` |\n"


def _anchor(heading: str) -> str:
    """GitHub's link to a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")

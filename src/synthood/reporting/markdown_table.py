"""A table as Markdown."""

import re
from collections.abc import Mapping

from synthood.errors import visible
from synthood.reporting.render import Block, Cell, blocks, note
from synthood.reporting.results import Results
from synthood.reporting.settings import Role, TableSettings

SPECIAL = re.compile(r"[\\`*\[\]~|]|<(?=[a-zA-Z/!?])|&(?=#?\w+;)|#(?=#*$)|(?<!\w)_|_(?!\w)")
"""What CommonMark, with tables and strikethrough, takes for markup within a line."""
MARKS = {"best": ("**", "**"), "second": ("<ins>", "</ins>"), "": ("", "")}


def markdown(
    results: Results, table: TableSettings, evidence: Mapping[str, str] = {}, alone: Mapping[Role, str] = {}
) -> str:
    """Best in bold, second best underlined, an asterisk behind a significant gain."""
    parts = [f"# {plain(table.title)}" if table.title else "", plain(note(table, evidence))]
    for block in blocks(results, table, alone):
        parts += [f"## {plain(block.heading)}", grid(block), plain(" ".join(block.legend))]
        for lead, sentences in block.tests:
            parts += [plain(lead), "\n".join(f"- {plain(sentence)}" for sentence in sentences)]
        parts += map(plain, block.remarks)
    return "\n\n".join(part for part in parts if part) + "\n"


def grid(block: Block) -> str:
    """The lines of one table."""
    lines = [" | ".join(map(plain, block.header)), " | ".join(["---"] * len(block.header))]
    lines += [" | ".join(map(shown, row.cells)) for row in block.rows]
    return "\n".join(f"| {line} |" for line in lines)


def shown(cell: Cell) -> str:
    """A cell with its marks."""
    before, after = MARKS[cell.rank]
    star = "\\*" if cell.kind in ("better", "worse") else ""
    return f"{before}{plain(cell.text)}{after}{star} {cell.small}".strip()


def plain(text: str) -> str:
    """A text on one line of Markdown, every letter of which is read as it is."""
    return SPECIAL.sub(r"\\\g<0>", visible(" ".join(text.split())))

"""A table as Markdown."""

from collections.abc import Mapping

from synthood.reporting.render import Block, Cell, blocks, note
from synthood.reporting.results import Results
from synthood.reporting.settings import Role, TableSettings

MARKS = {"best": ("**", "**"), "second": ("<ins>", "</ins>"), "": ("", "")}


def markdown(
    results: Results, table: TableSettings, evidence: Mapping[str, str] = {}, alone: Mapping[Role, str] = {}
) -> str:
    """Best in bold, second best underlined, an asterisk behind a significant gain."""
    parts = [f"# {plain(table.title)}" if table.title else "", plain(note(table, evidence))]
    for block in blocks(results, table, alone):
        parts += [f"## {block.heading}", grid(block), escaped(" ".join(block.legend))]
        for lead, sentences in block.tests:
            parts += [lead, "\n".join(f"- {sentence}" for sentence in sentences)]
        parts += map(plain, block.remarks)
    return "\n\n".join(part for part in parts if part) + "\n"


def grid(block: Block) -> str:
    """The lines of one table."""
    lines = [" | ".join(block.header), " | ".join(["---"] * len(block.header))]
    lines += [" | ".join(map(shown, row.cells)) for row in block.rows]
    return "\n".join(f"| {line} |" for line in lines)


def shown(cell: Cell) -> str:
    """A cell with its marks."""
    before, after = MARKS[cell.rank]
    star = "\\*" if cell.kind in ("better", "worse") else ""
    return f"{before}{cell.text}{after}{star} {cell.small}".strip()


def plain(text: str) -> str:
    """Text of a configuration on one line of Markdown, without tags."""
    return " ".join(text.split()).replace("<", "\\<")


def escaped(text: str) -> str:
    """A text whose asterisks are no marks."""
    return text.replace("*", "\\*")

"""A table as LaTeX, for the package booktabs."""

import re
from collections.abc import Mapping

from synthood.errors import visible
from synthood.reporting.render import NONE, Block, Cell, Row, blocks, note
from synthood.reporting.results import Results
from synthood.reporting.settings import Role, TableSettings

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    "±": r"\ensuremath{\pm}",
    "†": r"\textdagger{}",
    "*": r"\textsuperscript{*}",
    "[": "{[}",
    NONE: "--",
}
MARKS = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "": "%s"}


def latex(
    results: Results, table: TableSettings, evidence: Mapping[str, str] = {}, alone: Mapping[Role, str] = {}
) -> str:
    r"""One `table` per dataset and metric, with mean and SD but no intervals; needs `\usepackage{booktabs}`.

    Title and notes are comments, since they may hold any letter.
    """
    comments = [f"% {' '.join(text.split())}" for text in (table.title, note(table, evidence)) if text]
    head = [*comments, r"% \usepackage[T1]{fontenc}, \usepackage{booktabs}"]
    return "\n".join([*head, *(part for block in blocks(results, table, alone) for part in of_block(block))]) + "\n"


def of_block(block: Block) -> list[str]:
    """The lines of one table."""
    columns = "l" * block.text + "r" * (len(block.header) - block.text)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escaped(' '.join([f'{block.heading}.', *block.legend]))}}}"]
    label = re.sub(r"[^\w.:]+", "-", f"{block.dataset}-{block.metric.key}", flags=re.ASCII)
    lines += [rf"\label{{tab:{label}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines += [" & ".join(map(escaped, block.header)) + r" \\", r"\midrule"]
    for before, row in zip([None, *block.rows], block.rows, strict=False):
        if before and block.text > 1 and group(before) != group(row):
            lines.append(r"\midrule" if row.summary and not before.summary else r"\addlinespace")
        lines.append(" & ".join(map(shown, row.cells)) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]


def group(row: Row) -> str:
    """Rows of one detector belong together."""
    return row.cells[0].text


def shown(cell: Cell) -> str:
    """A cell with its marks."""
    star = "*" if cell.kind in ("better", "worse") else ""
    minus = cell.text.startswith("-") and cell.kind != "text"
    return MARKS[cell.rank] % (r"\ensuremath{-}" * minus + escaped(cell.text[minus:] + star))


def escaped(text: str) -> str:
    """Text whose every character is printed as it is; two hyphens are no dash."""
    letters = visible(text)
    pairs = zip(letters, f"{letters[1:]} ", strict=True)
    return "".join("-{}" if letter == after == "-" else SPECIAL.get(letter, letter) for letter, after in pairs)

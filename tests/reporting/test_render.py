"""Cells, Markdown and HTML of a table."""

import math
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from synthood.reporting.render import Cell, blocks, gain_cell, html_page, markdown, markdown_cell, note, value_cell
from synthood.reporting.settings import TableSettings

TABLE = TableSettings(
    title="Digits & <more>",
    datasets=["digits"],
    recipes=["plain", "sio"],
    seeds=[0, 1],
    detectors=["msp"],
    base="plain",
    columns=["auroc", "fpr95_id_positive", "id_accuracy"],
    resamples=10,
)
LINE = {"mean": 0.91234, "sd": 0.005, "low": 0.9, "high": 0.9251, "gain": 0.0123, "gain_low": 0.001, "gain_high": 0.02}


def rows() -> pd.DataFrame:
    """`sio` gains in AUROC and loses in FPR95, where less is better; accuracy is undecided."""
    lines = []
    for recipe in TABLE.recipes:
        moved = {"gain": 0.0, "gain_low": 0.0, "gain_high": 0.0} if recipe == "plain" else {}
        for metric in ("auroc", "fpr95_id_positive"):
            for position, name in enumerate(["close", "away", "near", "far"]):
                key = {"dataset": "digits", "recipe": recipe, "detector": "msp", "set": name, "metric": metric}
                lines.append(key | LINE | {"mean": 0.5 + position / 100} | moved)
        key = {"dataset": "digits", "recipe": recipe, "detector": "", "set": "test", "metric": "id_accuracy"}
        lines.append(key | LINE | {"gain_low": -0.01} | moved)
    return pd.DataFrame(lines)


def test_value_cell() -> None:
    assert value_cell(LINE) == Cell("91.23 ± 0.50", "[90.0, 92.5]", value=0.91234)
    assert value_cell(LINE, interval=False) == Cell("91.23 ± 0.50", value=0.91234)
    assert value_cell(LINE | {"sd": math.nan}).text == "91.23"


@pytest.mark.parametrize(
    ("metric", "low", "high", "kind"),
    [
        ("auroc", 0.001, 0.02, "better"),
        ("auroc", -0.02, -0.001, "worse"),
        ("auroc", -0.001, 0.02, ""),
        ("auroc", 0.0, 0.02, ""),
        ("aupr_in", 0.001, 0.02, "better"),
        ("aupr_out", 0.001, 0.02, "better"),
        ("id_accuracy", -0.02, -0.001, "worse"),
        ("fpr95_id_positive", 0.001, 0.02, "worse"),
        ("fpr95_id_positive", -0.02, -0.001, "better"),
        ("fpr95_ood_positive", -0.02, -0.001, "better"),
        ("fpr95_ood_positive", -0.02, 0.0, ""),
    ],
)
def test_gain_is_marked_where_its_interval_leaves_out_zero(metric: str, low: float, high: float, kind: str) -> None:
    cell = gain_cell(LINE | {"gain_low": low, "gain_high": high}, metric, base=False)
    assert cell.kind == kind
    assert cell.text == "+1.23"
    assert cell.small == f"[{100 * low:+.1f}, {100 * high:+.1f}]"
    assert cell.value == 0.0123


def test_base_has_no_gain() -> None:
    assert gain_cell(LINE, "auroc", base=True) == Cell("–", value=0)


def test_blocks_follow_the_columns() -> None:
    made = blocks(rows(), TABLE)
    assert [block.heading for block in made] == [
        "AUROC on digits, %",
        "FPR95, ID positive on digits, %",
        "ID accuracy on digits, %",
    ]
    assert made[0].header == ["detector", "recipe", "near", "gain near", "far", "gain far", "close", "away"]
    assert [cell.value for cell in made[0].rows[1].cells] == ["msp", "sio", 0.52, 0.0123, 0.53, 0.0123, 0.5, 0.51]
    assert [row.base for row in made[0].rows] == [True, False]
    assert made[2].header == ["recipe", "accuracy", "gain"]
    assert all(len(row.cells) == len(block.header) for block in made for row in block.rows)


def test_markdown_tables() -> None:
    lines = markdown(rows(), TABLE).splitlines()
    assert lines[0] == "# Digits & <more>"
    assert (
        "| msp | plain | 52.00 ± 0.50 [90.0, 92.5] | – | 53.00 ± 0.50 [90.0, 92.5] | – | 50.00 ± 0.50 |"
        in "\n".join(lines)
    )
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) == 3 * 4
    assert [line.count("|") for line in tables] == [9] * 8 + [4] * 4
    assert tables[3].count("**+1.23 [+0.1, +2.0]**") == 2
    assert "**" not in tables[2]  # the base
    assert "**" not in tables[11]  # undecided
    assert "+1.23 [-1.0, +2.0]" in tables[11]


def test_markdown_without_a_title_starts_with_the_note() -> None:
    untitled = TABLE.model_copy(update={"title": ""})
    assert markdown(rows(), untitled).startswith(note(untitled))


@pytest.mark.parametrize(("kind", "text"), [("", "1 [0, 2]"), ("better", "**1 [0, 2]**"), ("worse", "**1 [0, 2]**")])
def test_markdown_cell(kind: str, text: str) -> None:
    assert markdown_cell(Cell("1", "[0, 2]", kind)) == text


def test_note_names_seeds_confidence_resamples_and_base() -> None:
    assert "over 2 seeds;" in note(TABLE)
    assert "One seed;" in note(TABLE.model_copy(update={"seeds": [3]}))
    assert "95 % bootstrap interval" in note(TABLE)
    assert "(10 resamples" in note(TABLE)
    assert "Gains are over plain," in note(TABLE)


class Page(HTMLParser):
    """Tags left open, resources named, and attributes of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag == "td":
            self.cells.append(dict(attrs))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_page_is_well_formed_and_alone() -> None:
    text = html_page(rows(), TABLE)
    page = Page()
    page.feed(text)
    assert page.open == []
    assert "http" not in text
    assert "<h1>Digits &amp; &lt;more&gt;</h1>" in text
    assert len(page.cells) == 2 * 2 * 8 + 2 * 3
    classes = [cell.get("class") for cell in page.cells]
    assert (classes.count("better"), classes.count("worse")) == (2, 2)
    assert re.findall(r'data-value="(0\.\d+)">53\.00', text) == ["0.53"] * 4


def test_untitled_page_has_a_title() -> None:
    assert "<title>Results</title>" in html_page(rows(), TABLE.model_copy(update={"title": ""}))


def test_one_seed_claims_nothing_about_trainings() -> None:
    table = TableSettings(datasets=["d"], recipes=["ce"], seeds=[0], detectors=["msp"], base="ce")
    assert note(table).startswith("One seed; in brackets the 95 % bootstrap interval over images alone")
    assert "seeds and images jointly" in note(table.model_copy(update={"seeds": [0, 1]}))

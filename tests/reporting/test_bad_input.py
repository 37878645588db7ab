"""Tables of odd names, of numbers that are missing, and of no OOD set: what each format shows and says."""

import csv
import io
import math
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from odd_names import ODD, REVERSED
from synthood.reporting.comparisons import Comparison
from synthood.reporting.html_table import html_page
from synthood.reporting.latex_table import SPECIAL, escaped, latex
from synthood.reporting.markdown_table import markdown, plain
from synthood.reporting.render import NONE, blocks, note, published_cells
from synthood.reporting.results import GAINS, VALUES, Results, csv_text, read_csv
from synthood.reporting.settings import TableSettings, TabulateSettings
from synthood.reporting.summaries import best_of
from synthood.reporting.tabulate import tabulate
from synthood.reporting.wide_tables import leaderboard, wide

TABLE = TableSettings(
    datasets=["d"],
    recipes=["ce", "sio"],
    seeds=[0],
    detectors=["msp"],
    baselines=["ce"],
    columns=["auroc", "id_accuracy"],
    resamples=10,
)


def scores(table: TableSettings = TABLE) -> dict[tuple[str, str, int], pd.DataFrame]:
    """Of every run of a table, on 20 ID and 12 OOD images."""
    found = {}
    for place, recipe in enumerate(table.recipes):
        for seed in table.seeds:
            random, parts = np.random.default_rng([place, seed]), np.repeat(["test", "away"], [20, 12])
            columns = {name: random.random(32) + 0.3 * (parts == "test") for name in table.detectors}
            facts = {"part": parts, "label": 0, "prediction": random.integers(0, 2, 32)}
            found["d", recipe, seed] = pd.DataFrame(facts | columns)
    return found


def odd_table() -> tuple[Results, TableSettings]:
    """Every name of a table is odd; the second recipe's gain is significant, so that it is put in words."""
    first, *others = ODD.values()
    names = {"datasets": [ODD["marks"]], "recipes": list(ODD.values()), "detectors": [ODD["markup"]]}
    table = TableSettings.model_construct(**dict(TABLE) | names | {"title": ODD["quotes"], "baselines": [first]})
    key = {"dataset": ODD["marks"], "detector": ODD["markup"], "metric": "auroc"}
    sets = ("near", ODD["right-to-left"], ODD["latex"])
    values = [
        key | {"recipe": recipe, "set": part, "mean": 80.0 + place, "sd": 1.0, "low": 70.0, "high": 90.0, "seeds": 5}
        for place, recipe in enumerate(ODD.values())
        for part in sets
    ]
    over = {"set": "near", "base": first, "base_detector": ODD["markup"], "gain": 1.0, "low": 0.5, "high": 1.5}
    gains = [key | over | {"recipe": recipe, "seeds": 5, "p": 0.001} for recipe in others]
    return Results(pd.DataFrame(values, columns=VALUES), pd.DataFrame(gains, columns=GAINS)), table


def in_markdown(text: str) -> tuple[list[str], list[list[str]], list[str]]:
    """Headings, tables' cells by row, and items of lists, as a reader sees them; fails where a tag or link is read."""
    headings, rows, items, inside = list[str](), list[list[str]](), list[str](), list[str]()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        inside += [token.tag] if token.nesting == 1 else []
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            kinds = {child.type for child in token.children or []}
            assert kinds <= {"text", "strong_open", "strong_close", "html_inline", "text_special"}
            tags = {child.content for child in token.children or [] if child.type == "html_inline"}
            assert tags <= {"<ins>", "</ins>"}  # of the second best
            seen = "".join(child.content for child in token.children or [] if child.type != "html_inline")
            if inside[-1] in ("h1", "h2"):
                headings.append(seen)
            elif inside[-1] in ("th", "td"):
                rows[-1].append(seen)
            elif "li" in inside:
                items.append(seen)
        if token.nesting == -1:
            inside.pop()
        assert token.type != "html_block"
    return headings, rows, items


def test_markdown_shows_odd_names_as_they_are() -> None:
    headings, rows, items = in_markdown(markdown(*odd_table()))
    assert headings == [ODD["quotes"], f"AUROC on {ODD['marks']}, %", f"ID accuracy on {ODD['marks']}, %"]
    sets = [ODD["right-to-left"], ODD["latex"]]
    assert rows[0] == ["detector", "recipe", "near", "gain near", *sets]
    assert [row[:2] for row in rows[1:7]] == [[ODD["markup"], recipe] for recipe in ODD.values()]
    assert {len(row) for row in rows[:7]} == {6}
    assert len(items) == len(ODD) - 1
    assert items[0].startswith(f"{ODD['quotes']} - {ODD['markup']} on near OOD: +1.00 points")


@pytest.mark.parametrize("text", [*ODD.values(), "a_b_c 5 < 6 & 7 > 2 (x)", "_a", "a\n\n# b", "&amp; &#60; & ;"])
def test_a_line_of_markdown_reads_as_it_was_written(text: str) -> None:
    headings, *_ = in_markdown(f"# {plain(text)}\n")
    assert headings == [" ".join(text.split())]


def test_usual_names_and_sentences_are_no_longer_for_it() -> None:
    for text in ("cut_mix", "sio-0.9", "+1.23", "p < 0.001 (Holm): significant", "50.00 ± 1.00", "a > b & c"):
        assert plain(text) == text


class Page(HTMLParser):
    """Tags, and the texts of cells, buttons, headings and items."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_html_shows_odd_names_as_they_are() -> None:
    page = Page(html_page(*odd_table()))
    assert page.tags.count("script") == 1
    assert {"b", "i", "img", "a"} & set(page.tags) == {"b"}
    for name in ODD.values():
        assert name in page.texts
    assert f"AUROC on {ODD['marks']}, %" in page.texts
    assert any(text.startswith(f"{ODD['quotes']} - {ODD['markup']} on near OOD") for text in page.texts)


def test_latex_shows_odd_names() -> None:
    text = latex(*odd_table())
    assert r"\label{tab:-a-_b_-c-d-e-f-g-lt-h-auroc}" in text
    lines = [line for line in text.split("\n") if not line.startswith("%")]
    rows = [line.removesuffix(r" \\").split(" & ") for line in lines if line.endswith(r" \\")]
    assert [row[:2] for row in rows[1:-1]] == [[escaped(ODD["markup"]), escaped(name)] for name in ODD.values()]
    assert rows[0][-1] == escaped(ODD["latex"])


@pytest.mark.parametrize("text", ODD.values())
def test_latex_prints_every_letter(text: str) -> None:
    """What stands for a letter is taken back; what is left is no command."""
    letters = {command: letter for letter, command in SPECIAL.items() if letter != NONE} | {"-{}": "-"}
    commands = "|".join(map(re.escape, sorted(letters, key=len, reverse=True)))
    assert re.sub(commands, lambda found: letters[found[0]], escaped(text)) == text
    left = re.sub(commands, "", escaped(text))
    assert not set(left) & set("\\{}$&#%_^~[")
    assert "--" not in escaped("a--b---c")


@pytest.mark.parametrize("form", [markdown, latex])
def test_what_reverses_the_reading_direction_is_shown_as_an_escape(form: Any) -> None:
    results, table = odd_table()
    values = results.values.replace(ODD["long"], REVERSED)
    recipes = [REVERSED if name == ODD["long"] else name for name in table.recipes]
    text = form(Results(values, results.gains[:1]), table.model_copy(update={"recipes": recipes}))
    assert {"markdown": r"a\\u202eb\\u2066c", "latex": r"a\textbackslash{}u202eb\textbackslash{}u2066c"}[
        form.__name__
    ] in text
    assert not set(REVERSED[1::2]) & set(text)


def test_csv_files_give_odd_names_back(tmp_path: Any) -> None:
    results, table = odd_table()
    names = [*ODD.values(), REVERSED, "NA", "null", "007", "1e3", "True"]
    values = pd.concat([results.values.head(1).assign(recipe=name, detector=name) for name in names])
    for frame in (values, values.assign(set="NA")):
        (tmp_path / "a.csv").write_text(csv_text(frame), encoding="utf-8", newline="")
        again = read_csv(tmp_path / "a.csv", VALUES)
        assert again[["recipe", "detector", "set"]].to_numpy().tolist() == (
            frame[["recipe", "detector", "set"]].to_numpy().tolist()
        )
    board = leaderboard(results.values, table, {}, [], {})
    for rows in (wide(results.values), board):
        shown = list(csv.reader(io.StringIO(csv_text(rows))))
        assert sorted({ODD["markup"], *ODD.values()} & {cell for row in shown for cell in row}) == sorted(ODD.values())
        assert {len(row) for row in shown} == {rows.shape[1]}


def without_numbers(results: Results, chosen: pd.Series) -> Results:
    """The same with rows that are no numbers, as one that a detector could not be measured on."""
    results.values.loc[chosen, ["mean", "sd", "low", "high"]] = math.nan
    return results


@pytest.mark.parametrize("every", [False, True])
def test_a_value_that_is_no_number_is_a_dash(every: bool) -> None:
    results = tabulate(scores(), TabulateSettings(table=TABLE, near={"d": ["away"]}, far={}))
    values = results.values
    results = without_numbers(results, values["mean"].notna() & (every | (values["recipe"] == "sio")))
    auroc = blocks(results, TABLE)[0]
    dashes = [[cell.text == NONE for cell in row.cells] for row in auroc.rows]
    assert dashes == [[False, False, every, True, every], [False, False, True, False, True]]
    assert {cell.rank for row in auroc.rows for cell in row.cells} == {""}
    for text in (markdown(results, TABLE), html_page(results, TABLE), latex(results, TABLE)):
        assert "nan" not in text.partition("<script>")[0].lower()
    board = leaderboard(values, TABLE, {}, [], {}).set_index("Training")
    assert board.loc["sio", ["Near-OOD_AUROC", "Far-OOD_AUROC", "ID_Accuracy"]].tolist() == ["/", "/", "/"]
    assert wide(values).set_index("recipe").loc["sio", "auroc_near"] != 0
    assert ",,,,," in csv_text(wide(values)).replace("\n", ",\n")


def test_a_published_figure_next_to_no_number_has_no_difference() -> None:
    line = {"mean": math.nan, "sd": math.nan, "published": 91.0, "published_sd": 0.5, "published_note": ""}
    assert [cell.text for cell in published_cells(line, 5)] == ["91.00 ± 0.50", NONE]


def test_the_best_of_some_numbers_is_not_one_that_is_none() -> None:
    rows = [
        ["d", "ce", detector, "near", "auroc", mean, 1.0, 0.0, 0.0, 3]
        for detector, mean in (("msp", 80.0), ("knn", math.nan), ("vim", 85.0))
    ]
    table = TABLE.model_copy(update={"recipes": ["ce"], "detectors": ["msp", "knn", "vim"], "summary": ["best"]})
    (found,) = best_of(pd.DataFrame(rows, columns=VALUES), table)
    assert found["mean"] == 85.0
    (nothing,) = best_of(pd.DataFrame(rows[1:2], columns=VALUES), table.model_copy(update={"detectors": ["knn"]}))
    assert math.isnan(nothing["mean"])


def test_a_gain_without_an_interval_is_said_without_one() -> None:
    """Such as that of the best over all detectors."""
    told = Comparison("sio", "ce", "near", 1.0, math.nan, math.nan, 3, 0.95).sentence()
    assert told == "sio - ce on near OOD: +1.00 points, 3 seeds"
    asked = TABLE.model_dump() | {"detectors": ["msp", "knn"], "summary": ["best"], "tests": {"detectors": ["best"]}}
    table = TableSettings.model_validate(asked)
    settings = TabulateSettings(table=table, near={"d": ["away"]}, far={})
    text = markdown(tabulate(scores(table), settings), table)
    assert "By best:\n\n- sio - ce on near OOD: " in text
    assert "nan" not in text


def test_one_seed_has_no_deviation_and_no_test_in_any_format() -> None:
    settings = TabulateSettings(table=TABLE, near={"d": ["away"]}, far={})
    results = tabulate(scores(), settings)
    assert results.values["sd"].isna().all()
    assert (results.values["low"] < results.values["high"]).all()
    assert results.gains["p"].isna().all()
    for text in (markdown(results, TABLE), html_page(results, TABLE), latex(results, TABLE)):
        assert "One seed; in brackets the 95 % interval for new images alone" in text
        assert "No gain is tested: that takes 5 seeds." in text
        assert "nan" not in text.partition("<script>")[0].lower()
    assert r"\pm" not in latex(results, TABLE)


def test_the_note_claims_no_test_where_models_are_missing() -> None:
    """Five seeds were asked for, and each recipe has models of three."""
    five = TABLE.model_copy(update={"seeds": [0, 1, 2, 3, 4]})
    some = {run: one for run, one in scores(five).items() if run[2] < 3}
    results = tabulate(some, TabulateSettings(table=five, near={"d": ["away"]}, far={}))
    assert results.gains["p"].isna().all()
    assert "The gains in the lists are tested where both have 5 seeds, all together with Holm's" in note(five)
    assert "significant" not in markdown(results, five)


def test_rows_of_different_seeds_say_how_many_they_share() -> None:
    five = TABLE.model_copy(update={"seeds": [0, 1, 2, 3, 4]})
    some = {run: one for run, one in scores(five).items() if run[1] == "ce" or run[2] > 1}
    results = tabulate(some, TabulateSettings(table=five, near={"d": ["away"]}, far={}))
    assert results.values.groupby("recipe")["seeds"].unique().map(list).to_dict() == {"ce": [5], "sio": [3]}
    assert set(results.gains["seeds"]) == {3}
    assert ", 3 seeds\n" in markdown(results, five)


def test_a_table_without_an_ood_set_says_so() -> None:
    results = tabulate(scores(), TabulateSettings(table=TABLE, near={}, far={"d": []}))
    auroc, accuracy = blocks(results, TABLE)
    assert (auroc.rows, auroc.legend) == ([], ("No row: the dataset has no near and no far OOD set.",))
    assert [row.cells[0].text for row in accuracy.rows] == TABLE.recipes
    for form in (markdown, html_page, latex):
        text = form(results, TABLE)
        assert text.count("No row: the dataset has no near and no far OOD set.") == 1
    assert set(leaderboard(results.values, TABLE, {}, [], {})["Near-OOD_AUROC"]) == {"/"}

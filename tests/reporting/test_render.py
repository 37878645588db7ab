"""Cells, Markdown and HTML of a table."""

import math
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.reporting.html_table import html_page
from synthood.reporting.latex_table import latex
from synthood.reporting.markdown_table import markdown, shown
from synthood.reporting.render import Cell, blocks, gain_cell, note, ranks, value_cell
from synthood.reporting.results import VALUES, Results
from synthood.reporting.settings import ComparisonSettings, TableSettings, metric_of

TABLE = TableSettings(
    title="Digits & <more>",
    datasets=["digits"],
    recipes=["plain", "sio"],
    seeds=[0, 1, 2, 3, 4],
    detectors=["msp"],
    baselines=["plain"],
    columns=["auroc", "fpr95_id_positive", "id_accuracy"],
    resamples=10,
)
LINE = {"mean": 91.234, "sd": 0.5, "low": 90.0, "high": 92.51, "seeds": 5}
GAIN = {"recipe": "sio", "base": "plain", "gain": 1.23, "low": 0.1, "high": 2.0, "seeds": 5, "p": math.nan}
LEVEL = 0.95


def rows() -> Results:
    """`sio` gains in AUROC and loses in FPR95, where less is better; accuracy is undecided."""
    values, gains = [], []
    for metric in ("auroc", "fpr95_id_positive"):
        for position, name in enumerate(["close", "away", "near", "far"]):
            key = {"dataset": "digits", "detector": "msp", "set": name, "metric": metric}
            values += [LINE | key | {"recipe": recipe, "mean": 50.0 + position} for recipe in TABLE.recipes]
            gains.append(GAIN | key | {"base_detector": "msp"})
    key = {"dataset": "digits", "detector": "", "set": "test", "metric": "id_accuracy"}
    values += [LINE | key | {"recipe": recipe} for recipe in TABLE.recipes]
    gains.append(GAIN | key | {"low": -1.0, "base_detector": ""})
    return Results(pd.DataFrame(values), pd.DataFrame(gains))


def with_seeds(results: Results, seeds: int) -> Results:
    return Results(*(one.assign(seeds=seeds) for one in results))


def test_value_cell() -> None:
    assert value_cell(LINE) == Cell("91.23 ± 0.50", "[90.0, 92.5]", value=91.234)
    assert value_cell(LINE, interval=False) == Cell("91.23 ± 0.50", value=91.234)
    assert value_cell(LINE | {"sd": math.nan}).text == "91.23"


@pytest.mark.parametrize(
    ("metric", "gain", "p", "kind"),
    [
        ("auroc", 1.2, 0.049, "better"),
        ("auroc", -1.2, 0.049, "worse"),
        ("auroc", 1.2, 0.05, ""),
        ("auroc", 1.2, math.nan, ""),
        ("id_accuracy", -2.0, 0.001, "worse"),
        ("fpr95_id_positive", 1.2, 0.001, "worse"),
        ("fpr95_ood_positive", -1.2, 0.001, "better"),
    ],
)
def test_a_gain_is_marked_where_its_corrected_p_value_is_below_the_level(
    metric: str, gain: float, p: float, kind: str
) -> None:
    cell = gain_cell(GAIN | {"gain": gain, "p": p}, metric_of(metric), LEVEL)
    assert cell == Cell(f"{gain:+.2f}", "[+0.10, +2.00]", kind, gain)


@pytest.mark.parametrize("p", [0.0001, 0.02, 0.049999, 0.05, 0.0500001, 0.3, math.nan])
def test_sentence_colour_and_p_value_agree(p: float) -> None:
    tested = rows()
    tested.gains.loc[tested.gains["metric"] == "auroc", "p"] = p
    block = blocks(tested, TABLE)[0]
    kinds = {row.cells[3].kind for row in block.rows} - {""}
    sentence = block.tests[0][1][0]
    assert kinds == ({"better"} if p < 0.05 else set())
    assert sentence.endswith(": significant") == (p < 0.05)
    assert sentence.endswith(": not significant") == (p >= 0.05)
    text, page = markdown(tested, TABLE), html_page(tested, TABLE)
    assert text.count(r"+1.23\* [") == page.count("+1.23* <small>") == 2 * (p < 0.05)
    assert ("significant at 5 % by Holm over 4 comparisons" in text) == (p < 0.05)
    assert len(re.findall('class="better"', page)) == 2 * (p < 0.05)


def test_a_set_that_is_alone_in_its_role_has_one_column() -> None:
    """Near OOD is the mean over one set here: the same numbers, not shown twice."""
    names = blocks(rows(), TABLE)[0].header
    assert names == ["detector", "recipe", "near", "gain near", "far", "gain far", "close", "away"]
    one = blocks(rows(), TABLE, {("digits", "near"): "close"})[0]
    assert one.header == ["detector", "recipe", "near (close)", "gain near", "far", "gain far", "away"]
    assert [cell.text for cell in one.rows[0].cells] == [
        "msp",
        "plain",
        "52.00 ± 0.50",
        "–",
        "53.00 ± 0.50",
        "–",
        "51.00 ± 0.50",
    ]
    assert blocks(rows(), TABLE, {("cifar10", "near"): "close"})[0].header == names
    for text in (form(rows(), TABLE, {}, {("digits", "near"): "close"}) for form in (markdown, html_page, latex)):
        assert text.count("near (close)") == 2  # of AUROC and of FPR95


def test_the_best_of_a_role_with_one_set_is_marked() -> None:
    results = rows()
    here = (results.values["set"] == "near") & (results.values["recipe"] == "sio")
    results.values.loc[here, "mean"] = 60.0
    alone = {("digits", "near"): "close"}
    assert [row.cells[2].rank for row in blocks(results, TABLE, alone)[0].rows] == ["", "best"]


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_nothing_is_tested_below_five_seeds(seeds: int) -> None:
    """Uniform noise as synthetic images gave a bold +15.90 [+12.8, +19.0] with one seed."""
    few = TABLE.model_copy(update={"seeds": [*range(seeds)]})
    text, page = markdown(with_seeds(rows(), seeds), few), html_page(with_seeds(rows(), seeds), few)
    assert not re.search('class="(better|worse)"', page)
    for words in (text, page):
        assert "No gain is tested: that takes 5 seeds." in words
        assert "significant" not in words
        assert ("1 seed (images alone)" in words) == ("interval for new images alone" in words) == (seeds == 1)
    assert "tested where both have 5 seeds, all together with Holm's correction" in note(TABLE)


def test_bounds_near_zero_keep_their_sign() -> None:
    assert gain_cell(GAIN | {"low": -0.004, "high": 0.0}, metric_of("auroc"), LEVEL).small == "[-0.004, +0.00]"


@pytest.mark.parametrize(
    ("numbers", "lower", "expected"),
    [
        ([90.0, 92.0, 91.0], False, ["", "best", "second"]),
        ([90.0, 92.0, 91.0], True, ["best", "", "second"]),
        ([92.0, 92.0, 91.0, 91.0, 90.0], False, ["best", "best", "second", "second", ""]),
        ([100.0, 100.0, 100.0], False, ["", "", ""]),
        ([92.0, 91.0], False, ["best", ""]),
        ([92.0], False, [""]),
        ([], False, []),
    ],
)
def test_best_and_second_best_with_ties(numbers: list[float], lower: bool, expected: list[str]) -> None:
    assert ranks(numbers, lower) == expected


def test_values_that_print_alike_tie() -> None:
    near = lines_over(SEVERAL)
    values = near.values
    chosen = (values["metric"] == "auroc") & (values["set"] == "near") & (values["detector"] == "knn")
    values.loc[chosen, "mean"] = [57.001, 57.004, 53.0]
    values.loc[(values["metric"] == "auroc") & (values["set"] == "near") & (values["detector"] == "msp"), "mean"] = 50.0
    block = blocks(near, SEVERAL)[0]
    column = [(row.cells[2].text, row.cells[2].rank) for row in block.rows]
    assert column == [("50.00 ± 1.00", "")] * 3 + [
        ("57.00 ± 1.00", "best"),
        ("57.00 ± 1.00", "best"),
        ("53.00 ± 1.00", "second"),
    ]
    assert block.legend == ("Bold: best of the column; underlined: second best (ties as printed).",)
    gains = [row.cells[3].rank for row in block.rows]
    assert set(gains) == {""}


def test_base_has_no_gain() -> None:
    assert gain_cell(None, metric_of("auroc"), LEVEL) == Cell("–", value=0)


def test_blocks_follow_the_columns() -> None:
    made = blocks(rows(), TABLE)
    assert [block.heading for block in made] == [
        "AUROC on digits, %",
        "FPR95, ID positive on digits, %",
        "ID accuracy on digits, %",
    ]
    assert made[0].header == ["detector", "recipe", "near", "gain near", "far", "gain far", "close", "away"]
    assert [cell.value for cell in made[0].rows[1].cells] == ["msp", "sio", 52.0, 1.23, 53.0, 1.23, 50.0, 51.0]
    assert [row.base for row in made[0].rows] == [True, False]
    assert made[2].header == ["recipe", "accuracy", "gain"]
    assert all(len(row.cells) == len(block.header) for block in made for row in block.rows)


WITH_ONE_BASE = """\
## AUROC on digits, %

| detector | recipe | near | gain near | far | gain far | close | away |
| --- | --- | --- | --- | --- | --- | --- | --- |
| msp | plain | 52.00 ± 0.50 [90.0, 92.5] | – | 53.00 ± 0.50 [90.0, 92.5] | – | 50.00 ± 0.50 | 51.00 ± 0.50 |
| msp | sio | 52.00 ± 0.50 [90.0, 92.5] | +1.23 [+0.10, +2.00] | 53.00 ± 0.50 [90.0, 92.5] | \
+1.23 [+0.10, +2.00] | 50.00 ± 0.50 | 51.00 ± 0.50 |

By msp:

- sio - plain on near OOD: +1.23 points, 95 % interval +0.10 to +2.00, 5 seeds
- sio - plain on far OOD: +1.23 points, 95 % interval +0.10 to +2.00, 5 seeds

## ID accuracy on digits, %

| recipe | accuracy | gain |
| --- | --- | --- |
| plain | 91.23 ± 0.50 [90.0, 92.5] | – |
| sio | 91.23 ± 0.50 [90.0, 92.5] | +1.23 [-1.00, +2.00] |
"""


def test_one_base_goes_without_saying_in_the_headers() -> None:
    table = TABLE.model_copy(update={"columns": ["auroc", "id_accuracy"]})
    assert markdown(rows(), table) == f"# Digits & \\<more>\n\n{note(table)}\n\n{WITH_ONE_BASE}"
    page = html_page(rows(), table)
    assert "over plain</button>" not in page
    for name in ("gain near", "gain far", "gain"):
        assert page.count(f">{name}</button></th>") == 1


MEANS = {"plain": 50.0, "kd": 53.0, "oal": 57.0}
SEVERAL = TableSettings(
    datasets=["digits"],
    recipes=["plain", "kd", "oal"],
    seeds=[0, 1, 2, 3, 4],
    detectors=["msp", "knn"],
    baselines=["kd", "plain"],
    columns=["auroc", "fpr95_ood_positive", "id_accuracy"],
)


def lines_over(table: TableSettings) -> Results:
    """Far means lie 20 points above near ones; a gain's interval reaches 3.5 to both sides."""
    sets, ranked = ("close", "away", "near", "far"), [metric for metric in table.columns if metric != "id_accuracy"]
    cells = [(metric, detector, name) for metric in ranked for detector in table.detectors for name in sets]
    values, gains = [], []
    for metric, detector, name in [*cells, ("id_accuracy", "", "test")]:
        for recipe in table.recipes:
            mean = MEANS[recipe] + (20.0 if name in ("away", "far") else 0.0)
            key = {"dataset": "digits", "recipe": recipe, "detector": detector, "set": name, "metric": metric}
            values.append(key | {"mean": mean, "sd": 1.0, "low": mean - 2, "high": mean + 2, "seeds": 5})
            for base in table.baselines:
                gain = MEANS[recipe] - MEANS[base]
                if base != recipe:
                    over = {"base": base, "gain": gain, "low": gain - 3.5, "high": gain + 3.5}
                    gains.append(key | over | {"seeds": 5, "p": math.nan, "base_detector": detector})
    return Results(pd.DataFrame(values), pd.DataFrame(gains))


def test_several_bases_have_a_gain_each_side_by_side() -> None:
    auroc, fpr95, accuracy = blocks(lines_over(SEVERAL), SEVERAL)
    names = ["detector", "recipe", "near", "gain near over kd", "gain near over plain"]
    assert auroc.header == [*names, "far", "gain far over kd", "gain far over plain", "close", "away"]
    assert fpr95.header == auroc.header
    assert accuracy.header == ["recipe", "accuracy", "gain over kd", "gain over plain"]
    shown = {(row.cells[0].text, row.cells[1].text): [cell.text for cell in row.cells[2:]] for row in auroc.rows}
    assert shown["knn", "oal"] == [
        *("57.00 ± 1.00", "+4.00", "+7.00"),
        *("77.00 ± 1.00", "+4.00", "+7.00"),
        *("57.00 ± 1.00", "77.00 ± 1.00"),
    ]
    gains = [["-3.00", "–"], ["–", "+3.00"], ["+4.00", "+7.00"]]
    assert [shown["msp", recipe][1:3] for recipe in SEVERAL.recipes] == gains
    assert [[cell.text for cell in row.cells[2:]] for row in accuracy.rows] == gains
    assert [cell.small for cell in accuracy.rows[0].cells] == ["", "[48.0, 52.0]", "[-6.50, +0.50]", ""]
    assert [row.base for row in auroc.rows] == [True, True, False] * 2
    assert [row.base for row in accuracy.rows] == [True, True, False]


def test_a_gain_is_marked_over_each_base_by_itself() -> None:
    results = lines_over(SEVERAL)
    gains = results.gains
    gains.loc[(gains["base"] == "plain") & (gains["recipe"] == "oal"), "p"] = 0.01
    auroc, fpr95, _ = blocks(results, SEVERAL)
    assert [cell.kind for cell in auroc.rows[2].cells[3:5]] == ["", "better"]
    assert [cell.kind for cell in fpr95.rows[2].cells[3:5]] == ["", "worse"]


def test_markdown_and_page_name_every_base() -> None:
    text, page = markdown(lines_over(SEVERAL), SEVERAL), html_page(lines_over(SEVERAL), SEVERAL)
    header = "| detector | recipe | near | gain near over kd | gain near over plain | far | gain far over kd "
    assert text.count(header + "| gain far over plain | close | away |") == 2
    assert "| recipe | accuracy | gain over kd | gain over plain |" in text
    assert "| kd | <ins>53.00 ± 1.00</ins> [51.0, 55.0] | – | +3.00 [-0.50, +6.50] |" in text
    assert "| oal | **57.00 ± 1.00** [55.0, 59.0] |" in text
    for name in ("gain near over kd", "gain near over plain", "gain far over kd", "gain far over plain"):
        assert page.count(f">{name}</button></th>") == 2
    assert page.count(">gain over kd</button></th>") == page.count(">gain over plain</button></th></tr>") == 1
    assert page.count('<tr class="base">') == 2 * (2 * 2) + 2
    for words in (text, page):
        assert "Gains are over kd and plain, in points." in words
    tables = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert tables == [11] * 2 * 8 + [5] * 5


@settings(max_examples=25, deadline=None)
@given(
    st.permutations(list(MEANS)).flatmap(
        lambda recipes: st.tuples(st.just(recipes), st.permutations(recipes), st.integers(1, 3))
    )
)
def test_a_dash_stands_where_a_base_meets_itself_alone(drawn: tuple[list[str], list[str], int]) -> None:
    recipes, order, count = drawn
    table = SEVERAL.model_copy(update={"recipes": recipes, "baselines": order[:count]})
    for block in blocks(lines_over(table), table):
        assert len(set(block.header)) == len(block.header)
        for row in block.rows:
            recipe = row.cells[block.text - 1].text
            cells = dict(zip(block.header, row.cells, strict=True))
            dashes = [name for name, cell in cells.items() if cell.text == "–"]
            own = [name for name in block.header if name.startswith("gain") and recipe == order[0]]
            if count > 1:
                own = [name for name in block.header if name.endswith(f" over {recipe}")]
            assert dashes == own
            assert row.base == (recipe in table.baselines)


def test_markdown_tables() -> None:
    lines = markdown(rows(), TABLE).splitlines()
    assert lines[0] == r"# Digits & \<more>"
    assert (
        "| msp | plain | 52.00 ± 0.50 [90.0, 92.5] | – | 53.00 ± 0.50 [90.0, 92.5] | – | 50.00 ± 0.50 |"
        in "\n".join(lines)
    )
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) == 3 * 4
    assert [line.count("|") for line in tables] == [9] * 8 + [4] * 4
    assert tables[3].count("+1.23 [+0.10, +2.00]") == 2
    assert "**" not in "".join(tables)  # both recipes have the same values
    assert "+1.23 [-1.00, +2.00]" in tables[11]


def test_only_the_first_detectors_auroc_is_put_in_words() -> None:
    """Each pair once, a base over an earlier one among them, on near and far."""
    auroc, fpr95, accuracy = blocks(lines_over(SEVERAL), SEVERAL)
    assert [len(block.tests) for block in (auroc, fpr95, accuracy)] == [1, 0, 0]
    ((lead, sentences),) = auroc.tests
    assert (lead, len(sentences)) == ("By msp:", 2 * 3)
    assert "oal - kd on near OOD: +4.00 points, 95 % interval +0.50 to +7.50, 5 seeds" in sentences
    assert sum("kd - plain" in one or "plain - kd" in one for one in sentences) == 2
    page = html_page(lines_over(SEVERAL), SEVERAL)
    assert page.count("<ul>") == 1
    assert all(f"<li>{sentence}</li>" in page for sentence in sentences)


def test_detectors_in_words_and_metrics_of_choice() -> None:
    asked = ComparisonSettings(
        detectors=["knn"], sets=["away"], metrics=["fpr95_ood_positive"], detector_baselines=["msp"]
    )
    table = TableSettings.model_validate(SEVERAL.model_dump() | {"tests": asked.model_dump()})
    results = lines_over(table)
    line = {"dataset": "digits", "recipe": "oal", "detector": "knn", "set": "away", "metric": "fpr95_ood_positive"}
    over = {"base": "oal", "base_detector": "msp", "gain": 1.0, "low": 0.5, "high": 1.5, "seeds": 5, "p": 0.01}
    gains = pd.concat([results.gains, pd.DataFrame([line | over])], ignore_index=True)
    auroc, fpr95, _ = blocks(Results(results.values, gains), table)
    assert auroc.tests == ()
    assert [lead for lead, _ in fpr95.tests] == ["By knn:", "With oal:"]
    assert fpr95.tests[1][1] == (
        "knn - msp on away: +1.00 points, 95 % interval +0.50 to +1.50, 5 seeds, p = 0.010 (Holm): significant",
    )


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ({"detectors": ["nkk"]}, "tests.detectors: 'nkk' is not in the table"),
        ({"metrics": ["fpr95_id_positive"]}, "tests.metrics: 'fpr95_id_positive' is not in the table"),
        ({"detector_baselines": ["energy"]}, "tests.detector_baselines: 'energy' is not in the table"),
    ],
)
def test_tests_of_what_the_table_does_not_show_are_refused(tests: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TableSettings.model_validate(SEVERAL.model_dump() | {"tests": tests})


def test_markdown_without_a_title_starts_with_the_note() -> None:
    untitled = TABLE.model_copy(update={"title": ""})
    assert markdown(rows(), untitled).startswith(note(untitled))


@pytest.mark.parametrize(
    ("kind", "rank", "text"),
    [
        ("", "", "1 [0, 2]"),
        ("better", "", r"1\* [0, 2]"),
        ("worse", "", r"1\* [0, 2]"),
        ("", "best", "**1** [0, 2]"),
        ("", "second", "<ins>1</ins> [0, 2]"),
    ],
)
def test_marks_in_markdown(kind: str, rank: str, text: str) -> None:
    assert shown(Cell("1", "[0, 2]", kind, rank=rank)) == text


def test_note_names_seeds_confidence_resamples_and_base() -> None:
    assert "over 5 seeds;" in note(TABLE)
    assert "One seed;" in note(TABLE.model_copy(update={"seeds": [3]}))
    assert "95 % interval for new seeds and new images" in note(TABLE)
    assert "(10 bootstrap resamples of the images" in note(TABLE)
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


def test_the_note_says_what_the_ood_sets_are() -> None:
    evidence = {"digits": "OOD sets: near eights (real), far noise (computed)."}
    assert note(TABLE, evidence) == f"{note(TABLE)} digits: {evidence['digits']}"
    assert note(TABLE, evidence) in markdown(rows(), TABLE, evidence)
    assert "digits: OOD sets: near eights (real)" in html_page(rows(), TABLE, evidence)


def test_html_page_is_well_formed_and_alone() -> None:
    tested = rows()
    tested.gains.loc[tested.gains["set"] != "test", "p"] = 0.01
    text = html_page(tested, TABLE)
    page = Page()
    page.feed(text)
    assert page.open == []
    assert "http" not in text
    assert '<h1 dir="auto">Digits &amp; &lt;more&gt;</h1>' in text
    assert '<meta name="viewport" content="width=device-width,initial-scale=1">' in text
    assert "prefers-color-scheme:dark" in text
    assert len(page.cells) == 2 * 2 * 8 + 2 * 3
    classes = [cell.get("class") for cell in page.cells]
    assert (classes.count("better"), classes.count("worse")) == (2, 2)
    assert re.findall(r'data-value="([\d.]+)">53\.00', text) == ["53.0"] * 4


def test_text_of_a_configuration_is_one_line_of_markdown_without_tags() -> None:
    title, words = "a | b <img src=x>", {"digits": "held-out classes <b>,\n# two"}
    text = markdown(rows(), TABLE.model_copy(update={"title": title}), words)
    assert text.startswith("# a \\| b \\<img src=x>\n\n")
    assert "digits: held-out classes \\<b>, # two\n\n## AUROC" in text
    with pytest.raises(ValueError, match="title"):
        TableSettings.model_validate(TABLE.model_dump() | {"title": "a\n\n# b"})


def test_untitled_page_has_a_title() -> None:
    assert "<title>Results</title>" in html_page(rows(), TABLE.model_copy(update={"title": ""}))


def test_one_seed_claims_nothing_about_trainings() -> None:
    table = TableSettings(datasets=["d"], recipes=["ce"], seeds=[0], detectors=["msp"], baselines=["ce"])
    assert note(table).startswith("One seed; in brackets the 95 % interval for new images alone")
    assert "crossed random effects, the seeds' share by Student's t" in note(table.model_copy(update={"seeds": [0, 1]}))


def test_metrics_of_the_user_s_have_tables_and_a_sentence_of_their_own() -> None:
    mine = {"name": "fpr90", "file": "mine.py", "better": "lower", "description": "Share of OOD accepted at 90 %."}
    table = TableSettings.model_validate(TABLE.model_dump() | {"columns": ["ece", mine]})
    metric = table.metrics[1]
    assert (metric.title, gain_cell(GAIN | {"gain": -1.0, "p": 0.01}, metric, LEVEL).kind) == ("fpr90", "better")
    assert note(table).endswith(f"{table.metrics[0].note} fpr90: Share of OOD accepted at 90 %.")
    values = pd.DataFrame([
        ["digits", recipe, detector, part, name, 10.0, 0.0, 0.0, 20.0, 3]
        for name, detectors, parts in (("ece", [""], ["test"]), ("fpr90", table.detectors, ["far"]))
        for recipe in table.recipes for detector in detectors for part in parts
    ], columns=VALUES)  # fmt: skip
    gains = values[values["recipe"] == "sio"].assign(
        base="plain", base_detector=values["detector"], gain=0.0, p=math.nan
    )
    assert [(block.heading, block.header[1]) for block in blocks(Results(values, gains), table)] == [
        ("ECE on digits, %", "ECE"),
        ("fpr90 on digits, %", "recipe"),
    ]

"""The page in a browser: leaderboard, figures, galleries, theme, keyboard, a phone, accessibility, odd input."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from odd_names import ODD, REVERSED
from synthood.reporting.figures.base import figures
from synthood.reporting.page.build import Parts, build
from synthood.reporting.page.checks import Warned
from synthood.reporting.page.figures import figures as read_figures
from synthood.reporting.page.galleries import galleries
from synthood.reporting.page.settings import PageTable, Picture
from synthood.reporting.page.tables import Report
from synthood.reporting.page.times import Cost
from toy_figures import SETTINGS, image_files, renamed, table
from toy_reports import NAN, gain, png, report, small_report, specification, value

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}, Debian's package chromium")
expect.set_options(timeout=60_000)  # a busy machine is slow
WIDE, PHONE = (1280, 900), (390, 844)
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a page at a size and scheme of colours; fails where it complains, or asks for any other file or address."""
    contexts, complaints, asked = [], list[str](), list[str]()
    file = tmp_path / "index.html"

    def open_page(parts: Parts, size: tuple[int, int] = WIDE, scheme: Any = "light") -> Page:
        file.write_text(build(parts), encoding="utf-8")
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(120_000)
        found = context.new_page()
        found.on("console", lambda message: complaints.append(message.text))
        found.on("pageerror", lambda error: complaints.append(str(error)))
        found.on("request", lambda one: asked.append(one.url))
        found.goto(file.as_uri())
        expect(found.locator("html")).to_have_attribute("data-ready", "")
        return found

    yield open_page
    assert complaints == []
    assert [url for url in asked if url != file.as_uri() and not url.startswith(("blob:", "data:"))] == []
    for context in contexts:
        context.close()


def figure(index: int, section: str = "Curves", table: str = "toy") -> dict[str, Any]:
    spec = specification(section, f"Line {index}")
    meta = spec.pop("usermeta")["synthood"] | {"empty": ""}
    return {
        "table": table,
        "name": f"line{index}",
        **{key: meta[key] for key in ("section", "title", "caption", "empty")},
        "spec": spec,
    }


def everything(folder: Path, **more: Any) -> Parts:
    """A page with every section."""
    (folder / "a.png").write_bytes(png(640, 200))
    (folder / "toy.csv").write_text("a,b\n1,2\n")
    pictures = [
        Picture(kind="synthetic", dataset="digits", name="biggan"),
        Picture(kind="map", dataset="digits", name="oal"),
    ]
    measured = [{"agreement": 0.99, "copying": {"pixels": -3.9}, "by_class": {"\u05d0\u05d1": {"agreement": 0.1}}}]
    return Parts(
        [small_report(**more)],
        [Warned("copying", "Synthetic images of biggan copy training images.")],
        [figure(number, section) for number, section in enumerate(("Curves", "Curves", "Times"))],
        galleries(pictures, [folder / "a.png"] * 2, measured),
        [Cost("train", 2, 90.0, 60.0, 80.0, 1500.0)],
        [folder / "toy.csv"],
        "recipes:\n  ce: {epochs: 3}\n" * 40,
        {"Python": "3"},
        {"msp": ["arXiv 1610.02136"], "sio": ["SIO, arXiv 2303.14531"]},
    )


def names(page: Page) -> list[str]:
    """Detector and recipe of each row."""
    rows = page.locator("#board tbody tr").all()
    return [" ".join(cell.inner_text() for cell in row.locator("td.name").all()) for row in rows]


def head(page: Page, name: str) -> Any:
    return page.locator("#board th", has=page.get_by_role("button", name=name, exact=True))


def test_rows_are_sorted_and_say_so(opened: Open) -> None:
    page = opened(Parts([small_report()]))
    assert names(page) == ["knn sio", "knn ce", "msp sio", "msp ce"]  # by near AUROC
    expect(head(page, "near")).to_have_attribute("aria-sort", "descending")
    head(page, "detector").locator("button").press("Enter")
    assert names(page) == ["knn ce", "knn sio", "msp ce", "msp sio"]
    expect(head(page, "detector")).to_have_attribute("aria-sort", "ascending")
    expect(head(page, "near")).to_have_attribute("aria-sort", "none")
    head(page, "detector").locator("button").press("Space")
    assert names(page) == ["msp ce", "msp sio", "knn ce", "knn sio"]
    head(page, "gain near").locator("button").click()
    assert names(page) == ["knn sio", "msp sio", "msp ce", "knn ce"]  # what has no gain is last
    assert page.evaluate("document.activeElement.textContent") == "gain near"


def test_cells_marks_and_intervals(opened: Open) -> None:
    page = opened(Parts([small_report()]))
    row = page.locator("#board tbody tr").first
    assert row.locator("td").nth(2).inner_text().split() == ["88.00", "±", "0.50", "[87.0,", "89.0]"]
    expect(row.locator("td b")).to_have_count(2)
    expect(page.locator("#board tbody tr").nth(1).locator("td u").first).to_have_text("85.00")
    expect(page.locator("td.better")).to_have_count(1)
    assert page.locator("td.better").inner_text().split() == ["+1.00*", "[+0.00,", "+2.00]"]
    # 87 to 89 of 79 to 89, all rows' least and largest bound
    bar = row.locator(".span").first
    ends = bar.evaluate(
        "b => [b.querySelector('i').style.left, b.querySelector('i').style.width, b.querySelector('s').style.left]"
    )
    assert ends == ["80%", "20%", "90%"]
    page.get_by_label("every OOD set").check()
    expect(head(page, "eights")).to_have_count(1)


def test_marks_are_of_the_rows_shown(opened: Open) -> None:
    page = opened(Parts([small_report()]))
    page.get_by_label("Search").fill("CE msp")
    assert names(page) == ["msp ce"]
    expect(page.locator("#board b")).to_have_count(0)
    page.get_by_label("Search").fill("sio")
    assert names(page) == ["knn sio", "msp sio"]
    expect(page.locator("#board b").first).to_have_text("88.00")
    expect(page.locator("#board u")).to_have_count(0)  # nothing is second of two
    expect(page.locator("#count")).to_have_text("2 of 4 rows.")


def test_nothing_is_best_where_rows_are_saturated(opened: Open) -> None:
    means = {"a": 100.0, "b": 99.997, "c": 90.0, "d": 80.0}
    page = opened(Parts([report([value(name, "msp", "near", mean) for name, mean in means.items()])]))
    expect(page.locator("#board b")).to_have_count(0)
    expect(page.locator("#legend")).to_contain_text("Saturated, so not marked: 2 of 4 rows print 100.00 on near.")
    page.get_by_label("Search").fill("msp")
    page.locator("summary", has_text="Recipes").click()
    for name in "cd":
        page.locator("#of-recipes").get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#board b")).to_have_text(["90.00"])


def test_ties_are_marked_together(opened: Open) -> None:
    means = {"a": 90.001, "b": 89.999, "c": 80.0, "d": 80.0, "e": 70.0}
    page = opened(Parts([report([value(name, "msp", "near", mean) for name, mean in means.items()])]))
    expect(page.locator("#board b")).to_have_text(["90.00", "90.00"])
    expect(page.locator("#board u")).to_have_text(["80.00", "80.00"])


def test_halves_are_rounded_as_in_the_tables(opened: Open) -> None:
    numbers = [12.125, 12.375, 0.125, 99.995, 3.145, 50.0625, 2.675, 88.005]
    page = opened(Parts([report([value(f"r{at}", "msp", "near", x) for at, x in enumerate(numbers)])]))
    shown = {cell.split(" ±")[0] for cell in page.locator("#board tbody td:nth-child(3)").all_inner_texts()}
    assert shown == {f"{number:.2f}" for number in numbers}


def test_copies(opened: Open) -> None:
    page = opened(Parts([small_report()]))
    page.evaluate("navigator.clipboard.writeText = async text => { window.copied = text; }")
    page.get_by_label("Search").fill("sio")
    page.get_by_role("button", name="Copy LaTeX").click()
    expect(page.locator("#status")).to_have_text("Copied 2 rows as LaTeX.")
    assert page.evaluate("copied").split("\n")[1:] == [
        r"\begin{tabular}{llrrrr}",
        r"\toprule",
        r"detector & recipe & near & gain near & far & gain far \\",
        r"\midrule",
        r"knn & sio & \textbf{88.00 \ensuremath{\pm} 0.50} & +3.00 & \textbf{93.00 \ensuremath{\pm} 0.50} & -- \\",
        r"msp & sio & 81.00 \ensuremath{\pm} 0.50 & +1.00\textsuperscript{*} & 86.00 \ensuremath{\pm} 0.50 & +1.00 \\",
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ]
    page.get_by_role("button", name="Copy CSV").click()
    expect(page.locator("#status")).to_have_text("Copied 2 rows as CSV.")
    first, second = csv.DictReader(io.StringIO(page.evaluate("copied")))
    assert (first["detector"], first["near"], first["near_low"], first["gain near"]) == ("knn", "88", "87", "3")
    assert (second["gain near_p"], second["gain far_high"]) == ("0.01", "2")


def test_copying_where_the_clipboard_is_refused(opened: Open) -> None:
    page = opened(Parts([small_report()]))
    page.evaluate("""() => {
        navigator.clipboard.writeText = async () => { throw new Error("refused"); };
        document.execCommand = () => { window.copied = document.activeElement.value; return true; };
    }""")
    page.get_by_role("button", name="Copy LaTeX").click()
    expect(page.locator("#status")).to_have_text("Copied 4 rows as LaTeX.")
    assert r"\bottomrule" in page.evaluate("copied")


def test_figures_and_pictures_are_drawn_when_seen(opened: Open, tmp_path: Path) -> None:
    page = opened(everything(tmp_path))
    assert page.evaluate("window.synthoodVega === undefined || document.querySelectorAll('.chart svg').length < 3")
    for number in range(3):
        chart = page.locator(f"[data-figure='{number}'] .chart")
        chart.scroll_into_view_if_needed()
        expect(chart).to_have_attribute("aria-label", f"Line {number}: three points")
        assert chart.locator("svg .mark-symbol path").count() == 2  # null is no point
    picture = page.locator("[data-image='1']")
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("naturalWidth", 640)
    assert picture.evaluate("i => [i.naturalWidth, i.naturalHeight, i.src.slice(0, 5)]") == [640, 200, "blob:"]
    expect(page.locator("dd.poor").first).to_have_text("-3.9 poor")


def test_a_figure_that_cannot_be_drawn_says_so(opened: Open) -> None:
    broken = [
        figure(0) | {"spec": {"mark": "no such mark"}},
        figure(1),
        figure(2) | {"spec": {"data": {"url": "a.csv"}}},
    ]
    page = opened(Parts([small_report()], figures=broken))
    for number, text in ((0, "This figure cannot be drawn"), (2, "This figure cannot be drawn")):
        chart = page.locator(f"[data-figure='{number}'] .chart")
        chart.scroll_into_view_if_needed()
        expect(chart).to_contain_text(text)
    expect(page.locator("[data-figure='1'] .chart svg")).to_have_count(1)


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_every_figure_is_drawn(opened: Open, tmp_path: Path, size: tuple[int, int], scheme: str) -> None:
    varied = {"synthetic.alpha": {"a": 0.5, "b": 0.8, "c": 0.9}}
    settings = SETTINGS.model_copy(update={"recipes": ["plain", "a", "b", "c"], "varied": varied})
    of = table(settings, images=image_files(tmp_path / "images"))
    (tmp_path / "toy").mkdir()
    for kind, one in figures().items():
        (tmp_path / "toy" / f"{kind}.vl.json").write_text(json.dumps(one.spec(one.data(of))))
    own = read_figures((tmp_path / "toy").glob("*.vl.json"))
    assert not any(one["empty"] for one in own)
    places = {one["name"]: place for place, one in enumerate(own)}
    page = opened(Parts([small_report()], figures=own), size, scheme)
    for place in page.locator("[data-figure]").all():
        place.scroll_into_view_if_needed()
    expect(page.locator(".chart svg")).to_have_count(len(figures()))
    hardest = page.locator(f"[data-figure='{places['hardest']}'] .chart image")
    expect(hardest.first).to_have_attribute("href", re.compile("^data:image/webp"))
    roc = page.locator(f"[data-figure='{places['roc']}'] .chart")
    before = roc.locator("svg").inner_html()
    roc.locator("select").first.select_option("knn")
    expect(roc.locator("svg")).not_to_have_js_property("innerHTML", before)
    if size == PHONE:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    serious = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


def test_figures_are_saved(opened: Open, tmp_path: Path) -> None:
    page = opened(everything(tmp_path))
    with page.expect_download() as found:
        page.get_by_role("button", name="Save Line 1 as SVG").click()
    assert found.value.suggested_filename == "toy-line1.svg"
    assert "<svg" in Path(found.value.path()).read_text()
    with page.expect_download() as found:
        page.get_by_role("button", name="Save Line 0 as PNG").click()
    assert found.value.suggested_filename == "toy-line0.png"
    with Image.open(found.value.path()) as image:
        assert image.height > 200  # twice the 120 px of the chart, and its axis
    with page.expect_download() as found:
        page.get_by_role("link", name="toy.csv").click()
    assert Path(found.value.path()).read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_system_s_until_it_is_switched(opened: Open, tmp_path: Path, scheme: str) -> None:
    page = opened(everything(tmp_path), scheme=scheme)
    ground = {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}
    other = {"light": "dark", "dark": "light"}[scheme]
    switch = page.get_by_role("switch", name="Dark")
    expect(switch).to_have_attribute("aria-checked", str(scheme == "dark").lower())
    expect(page.locator("body")).to_have_css("background-color", ground[scheme])
    page.locator("[data-figure='0'] .chart").scroll_into_view_if_needed()
    label = page.locator("[data-figure='0'] .chart .role-axis-label text").first
    before = label.get_attribute("fill")
    switch.press("Space")
    expect(page.locator("body")).to_have_css("background-color", ground[other])
    expect(label).not_to_have_attribute("fill", str(before))
    page.reload()
    expect(page.locator("body")).to_have_css("background-color", ground[other])


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark"), (PHONE, "light"), (WIDE, "dark")])
def test_everything_fits_and_is_accessible(opened: Open, tmp_path: Path, size: tuple[int, int], scheme: str) -> None:
    page = opened(everything(tmp_path), size, scheme)
    for details in page.locator("summary").all():
        details.click()
    for place in page.locator("[data-figure], [data-image]").all():
        place.scroll_into_view_if_needed()
    expect(page.locator(".chart svg")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


def test_by_keyboard_alone(opened: Open, tmp_path: Path) -> None:
    page = opened(everything(tmp_path))

    def reach(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"{selector} was not reached")

    reach(".skip")
    reach("nav a")
    reach("#theme")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    reach("#find")
    page.keyboard.type("msp")
    assert names(page) == ["msp sio", "msp ce"]
    reach("#of-recipes summary")
    page.keyboard.press("Enter")
    reach("#of-recipes button")
    page.keyboard.press("Space")
    assert names(page) == ["msp ce"]
    expect(page.locator("#of-recipes summary")).to_have_text("Recipes (1 of 2)")
    page.keyboard.press("Space")
    reach("#board th:nth-child(3) button")
    page.keyboard.press("Enter")
    assert names(page) == ["msp ce", "msp sio"]
    reach("[data-save=svg]")
    with page.expect_download():
        page.keyboard.press("Enter")


def test_two_tables_of_one_title(opened: Open) -> None:
    other = report([value("oal", "vim", "far", 60.0)], name="b", title="Digits")
    made = Parts([small_report(name="a", title="Digits"), other], figures=[figure(0, table="a"), figure(1, table="b")])
    page = opened(made)
    assert len(names(page)) == 4
    expect(page.locator("[data-figure='1']")).to_be_hidden()
    page.get_by_label("Table").select_option("b")
    assert names(page) == ["vim oal"]
    expect(page.locator("[data-figure='0']")).to_be_hidden()
    expect(page.locator("[data-figure='1'] svg")).to_have_count(1)


def test_metrics_of_the_classifier_and_other_bases(opened: Open) -> None:
    rows = [value(recipe, "", "test", mean, metric="id_accuracy") for recipe, mean in (("ce", 90.0), ("sio", 91.5))]
    rows += [value(recipe, "msp", "near", mean) for recipe, mean in (("ce", 80.0), ("sio", 81.0))]
    gains = [
        gain("sio", "", "test", 1.5, metric="id_accuracy"),
        gain("ce", "", "test", -1.5, "sio", metric="id_accuracy"),
    ]
    page = opened(Parts([report(rows, gains, baselines=["ce", "sio"])]))
    page.get_by_label("Metric").select_option("id_accuracy")
    assert page.locator("#board th").all_inner_texts() == ["recipe", "test", "gain"]
    assert page.locator("#board tbody tr td:nth-child(3)").all_inner_texts()[0].split()[0] == "+1.50"
    page.get_by_label("Gain over").select_option("sio")
    assert [text.split()[0] for text in page.locator("#board td:nth-child(3)").all_inner_texts()] == ["–", "-1.50"]
    page.get_by_label("Gain over").select_option("nothing")
    assert page.locator("#board th").all_inner_texts() == ["recipe", "test"]
    assert page.locator("#base").input_value() == ""


def test_one_seed_missing_numbers_and_no_role(opened: Open) -> None:
    rows = [
        value("ce", "msp", "noise", 80.0, sd=NAN, seeds=1),
        value("sio", "msp", "noise", NAN, sd=NAN, low=NAN, high=NAN),
    ]
    page = opened(Parts([report(rows, seeds=[0], settings={"near": {}, "far": {}})]))
    assert page.locator("#board td:nth-child(3)").all_inner_texts() == ["80.00", "–"]
    expect(page.locator("#summary")).to_contain_text("the table has no near and no far OOD set")


@pytest.mark.parametrize("role", ["near", "far"])
def test_a_table_of_one_role_alone(opened: Open, role: str) -> None:
    other = {"near": "far", "far": "near"}[role]
    rows = [value(recipe, "msp", part, 80.0) for recipe in ("ce", "sio") for part in (role, "noise")]
    page = opened(Parts([report(rows, settings={role: {"digits": ["noise"]}, other: {"digits": []}})]))
    assert page.locator("#board th").all_inner_texts() == ["detector", "recipe", role]
    expect(page.locator("#legend")).to_contain_text(f"{role.capitalize()}: mean over noise.")
    expect(page.locator("#legend")).not_to_contain_text(f"{other.capitalize()}: mean")
    expect(page.locator("#summary .verdict")).to_contain_text(f"{role.capitalize()} OOD on digits: ce by msp, sio by")
    expect(page.locator("#summary .verdict li")).to_have_count(1)


def test_a_metric_without_an_ood_set_has_an_empty_board(opened: Open) -> None:
    rows = [value(recipe, "", "test", 90.0, metric="id_accuracy") for recipe in ("ce", "sio")]
    facts = {"columns": ["auroc", "id_accuracy"], "detectors": ["msp"], "settings": {"near": {}, "far": {}}}
    page = opened(Parts([report(rows, **facts)]))
    expect(page.locator("#count")).to_have_text("0 of 0 rows.")
    expect(page.locator("#summary")).to_contain_text("the table has no near and no far OOD set")
    page.get_by_label("Metric").select_option("id_accuracy")
    assert names(page) == ["ce", "sio"]


HOSTILE = {
    "markup": "<img src=x onerror=alert(1)>",
    "quotes": "a\"b'c`${d}\\",
    "long": "very-" * 40,
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd\u202e-1",
    "latex": r"50%_\cite{x} a--b [c]",
}


def test_odd_names(opened: Open, tmp_path: Path) -> None:
    """Also names that no configuration may have, should a page be made otherwise."""
    values = [value(name, HOSTILE["markup"], "near", 80.0 + at) for at, name in enumerate(HOSTILE.values())]
    facts = {"recipes": list(HOSTILE.values()), "detectors": [HOSTILE["markup"]], "title": HOSTILE["right-to-left"]}
    facts |= {"outside": {HOSTILE["markup"]: HOSTILE["quotes"]}}
    odd = PageTable.model_construct(**dict(small_report().settings) | facts)
    made = report([value("ce", "msp", "near", 80.0)])
    parts = Parts([Report(odd, pd.DataFrame(values), made.gains)], papers={HOSTILE["markup"]: [HOSTILE["quotes"]]})
    page = opened(parts, PHONE)
    assert names(page)[0] == f"{HOSTILE['markup']} {HOSTILE['latex']}"
    assert page.locator("#board img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect(page.locator("h1")).to_have_css("direction", "rtl")
    expect(page.locator("#board td.name > bdi")).to_have_count(2 * len(HOSTILE))  # none turns what is next to it
    page.evaluate("navigator.clipboard.writeText = async text => { window.copied = text; }")
    page.get_by_role("button", name="Copy LaTeX").click()
    expect(page.locator("#status")).to_contain_text("Copied")
    assert r"50\%\_\textbackslash{}cite\{x\} a-{}-b {[}c]" in page.evaluate("copied")
    page.get_by_role("button", name="Copy CSV").click()
    expect(page.locator("#status")).to_have_text("Copied 5 rows as CSV.")
    assert {row["recipe"] for row in csv.DictReader(io.StringIO(page.evaluate("copied")))} == set(HOSTILE.values())


@pytest.mark.parametrize("name", ["constructor", "toString", "valueOf", "hasOwnProperty"])
def test_names_that_every_object_of_javascript_has(opened: Open, name: str) -> None:
    """As recipe, detector, set, table and baseline."""
    rows = [value(recipe, name, part, 80.0) for recipe in ("ce", name) for part in ("near", name)]
    made = report(rows, name=name, baselines=["ce", name], settings={"near": {"digits": [name]}, "far": {}})
    page = opened(Parts([made, small_report()], figures=[figure(0, table=name)], papers={"ce": ["Paper"]}))
    assert names(page) == [f"{name} ce", f"{name} {name}"]
    expect(page.locator("#board .flag")).to_have_count(0)
    page.get_by_label("every OOD set").check()
    assert page.locator("#board th").all_inner_texts() == ["detector", "recipe", "near", name]
    page.locator("[data-figure='0'] .chart").scroll_into_view_if_needed()
    expect(page.locator("[data-figure='0'] .chart svg")).to_have_count(1)


@pytest.mark.parametrize("names_of", ["odd", "x"])
def test_figures_of_odd_names_are_drawn(opened: Open, tmp_path: Path, names_of: str) -> None:
    """Names are in expressions, fields and parameters of the specifications, and those of classes are of any kind."""
    (tmp_path / "a").mkdir()
    recipes = ["plain", "a", "b", "c"]
    varied = {"synthetic.alpha": {"a": 0.1, "b": 1.0, "c": 10.0}}
    usual = table(
        SETTINGS.model_copy(update={"recipes": recipes, "varied": varied}), images=image_files(tmp_path / "images")
    )
    old = [*recipes, "msp", "knn", "close", "away", "pets", "synthetic.alpha"]
    fields = ["x", "label", "at", "set", "recipe", "mean", "low", "dataset", "datum", "value"]
    odd = [f"{text}{place}" for place, text in enumerate([*ODD.values(), *ODD.values()][: len(old) - 2])]
    new = [*odd, *(f"{ODD['quotes']}{place}" for place in (8, 9))] if names_of == "odd" else fields
    classes = [ODD["markup"], REVERSED, ODD["quotes"]]
    of = renamed(usual, dict(zip(old, new, strict=True)), tmp_path / "a", classes)
    (tmp_path / "toy").mkdir()
    for kind, one in figures().items():
        (tmp_path / "toy" / f"{kind}.vl.json").write_text(json.dumps(one.spec(one.data(of))), encoding="utf-8")
    own = read_figures((tmp_path / "toy").glob("*.vl.json"))
    page = opened(Parts([small_report()], figures=own))
    for place in page.locator("[data-figure]").all():
        place.scroll_into_view_if_needed()
    expect(page.locator(".chart:has(svg), .chart:has-text('cannot')")).to_have_count(len(figures()))
    assert [text for text in page.locator(".chart").all_text_contents() if "cannot be drawn" in text] == []
    empty = [place for place, one in enumerate(own) if not page.locator(f"[data-figure='{place}'] svg path").count()]
    assert empty == []
    place = next(place for place, one in enumerate(own) if one["name"] == "confusion")
    labels = page.locator(f"[data-figure='{place}'] .chart .role-axis-label text").all_text_contents()
    assert [ODD["markup"], r"a\u202eb\u2066c", ODD["quotes"]] == labels[-3:]
    roc = next(place for place, one in enumerate(own) if one["name"] == "roc")
    page.locator(f"[data-figure='{roc}'] .chart .role-frame .background").first.hover(force=True)
    cells = page.locator("#tip td").all_text_contents()
    data = figures()["roc"].data(of)
    nearest = abs(data.more["grid"] - float(cells[1])).argmin()
    shown = data.rows.head(len(recipes))
    assert cells[2::2] == list(shown["recipe"]) == new[:4]
    assert [float(cell) for cell in cells[3::2]] == [round(mean[nearest], 1) for mean in shown["mean"]]


def test_many_rows_are_drawn_on_demand(opened: Open) -> None:
    rows = [
        value(f"r{recipe}", f"d{detector}", "near", (recipe * 7 + detector) % 100)
        for recipe in range(6)
        for detector in range(50)
    ]
    page = opened(Parts([report(rows)]))
    expect(page.locator("#board tbody tr")).to_have_count(100)
    expect(page.locator("#count")).to_have_text("300 of 300 rows, the first 100 shown.")
    page.get_by_role("button", name="Show all 300").click()
    expect(page.locator("#board tbody tr")).to_have_count(300)
    page.get_by_label("Search").fill("r5")
    expect(page.locator("#board tbody tr")).to_have_count(50)
    expect(page.locator("#all")).to_be_hidden()

"""The web page in a browser: verdicts, keyboard, a phone's width, light and dark, accessibility."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

import synthood
from servers import Running, exported, noise, png, running
from synthood.deploy.predictor import Predictor
from toy_models import pictures

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}, Debian's package chromium")
expect.set_options(timeout=60_000)  # a busy machine is slow
SIZES = [(390, 844), (1280, 900)]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("served") / "detector"
    exported(folder)
    return synthood.load(folder)


@pytest.fixture(scope="module")
def server(predictor: Predictor) -> Iterator[Running]:
    with running(predictor) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, server: Running, request: pytest.FixtureRequest) -> Iterator[Page]:
    """At a size and scheme of colours; fails where the page complains, or asks any other address."""
    (width, height), scheme = getattr(request, "param", (SIZES[1], "light"))
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(120_000)
    found, complaints, asked = context.new_page(), list[str](), list[str]()
    found.on("console", lambda message: complaints.append(message.text))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("request", lambda one: asked.append(one.url))
    here = f"http://127.0.0.1:{server.port}/"
    found.goto(here)
    expect(found.locator("#classes")).to_have_text("3 classes (a, b, c)")
    yield found
    assert [one for one in complaints if "status of 422" not in one] == []  # of an image that is none
    assert [url for url in asked if not url.startswith((here, f"blob:{here}"))] == []
    context.close()


def upload(name: str, pixels: Any) -> Any:
    return {"name": name, "mimeType": "image/png", "buffer": png(pixels)}


KNOWN, UNKNOWN = pictures(2, 7).images[0], noise(1, 20)[0]


@pytest.mark.parametrize("page", [(size, scheme) for size in SIZES for scheme in ("light", "dark")], indirect=True)
def test_verdicts_in_words(page: Page, predictor: Predictor) -> None:
    known, _ = predictor.predict([KNOWN, UNKNOWN]).itertuples()
    page.locator("#files").set_input_files([upload("one.png", KNOWN), upload("two.png", UNKNOWN)])
    expect(page.locator("#status")).to_have_text("1 known, 1 unknown.")
    second, first = page.locator("article").all()
    expect(first.locator("h3")).to_have_text(f"Known: {known.label}")
    expect(second.locator("h3")).to_have_text("Unknown: rejected")
    expect(first).to_contain_text("one.png")
    expect(second).to_contain_text("so the image is rejected; the nearest class is")
    expect(second).to_contain_text("Before it was judged: 20x20 px resized.")
    expect(first.locator("tbody th").first).to_have_text(known.label)
    expect(first).to_contain_text(f"Confidence {known.confidence:#.3g} is higher than that of about")
    expect(first.locator("svg[role=img] text").first).to_have_text("ID test")
    # Nothing is wider than the screen
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"]) for one in found if one["impact"] in ("serious", "critical")] == []


def test_the_histogram_is_where_the_confidence_lies(page: Page, predictor: Predictor) -> None:
    """Against a count of the test images' own confidences, up to one bin."""
    table = predictor.predict([KNOWN, UNKNOWN])
    test = predictor.predict(pictures(90, 5).images)["confidence"]
    page.locator("#files").set_input_files([upload("one.png", KNOWN), upload("two.png", UNKNOWN)])
    expect(page.locator("#status")).to_have_text("1 known, 1 unknown.")
    most = max(predictor.facts["histograms"]["counts"][0][1]) / 90
    for place, confidence in ((1, table["confidence"][0]), (0, table["confidence"][1])):
        text = page.locator("article").nth(place).locator("p", has_text="Confidence").inner_text()
        share = float(text.split("about ")[1].split("\u00a0%")[0]) / 100
        assert share == pytest.approx(float((test < confidence).mean()), abs=most + 0.01)


def test_the_level_changes_decisions(page: Page, predictor: Predictor) -> None:
    """Those of this visit too."""
    images = [*pictures(40, 11).images]
    table = predictor.predict(images, level=0.1)
    between = (table["p_value"] > 0.05) & (table["p_value"] <= 0.1)
    image = images[int(between.to_numpy().argmax())]
    assert between.any()
    page.locator("#files").set_input_files([upload("one.png", image)])
    expect(page.locator("h3")).to_contain_text("Known: ")
    page.locator("#level").select_option("0.1")
    expect(page.locator("h3")).to_have_text("Unknown: rejected")
    expect(page.locator("#status")).to_have_text("0 known, 1 unknown.")


def test_what_is_no_image_has_a_reason(page: Page) -> None:
    page.locator("#files").set_input_files([{"name": "a.png", "mimeType": "image/png", "buffer": b"text"}])
    expect(page.locator("h3")).to_have_text("No verdict")
    expect(page.locator("article")).to_contain_text("Image: not an image file.")
    expect(page.locator("#status")).to_have_text("0 known, 0 unknown, 1 without a verdict.")


def test_by_keyboard(page: Page) -> None:
    for expected in ("files", "level"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == expected
    with page.expect_file_chooser() as chosen:
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
    chosen.value.set_files([upload("one.png", KNOWN)])
    expect(page.locator("h3")).to_contain_text("Known: ")
    page.locator("#clear").press("Enter")
    expect(page.locator("article")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "files"


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_pasted_and_dropped(page: Page, way: str) -> None:
    page.evaluate(
        """([way, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "pasted.png", {type: "image/png"}));
            const key = way === "paste" ? "clipboardData" : "dataTransfer";
            const kind = way === "paste" ? ClipboardEvent : DragEvent;
            document.body.dispatchEvent(new kind(way, {[key]: data, bubbles: true, cancelable: true}));
        }""",
        [way, list(png(KNOWN))],
    )
    expect(page.locator("h3")).to_contain_text("Known: ")
    expect(page.locator("article")).to_contain_text("pasted.png")

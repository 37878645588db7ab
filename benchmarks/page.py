"""The report page in a browser: python benchmarks/page.py PAGE [--chromium PROGRAM] [--check]

PAGE is a run's `results/report/index.html`, such as the demo's; a second one of 200 detectors by 60 recipes with random
numbers is built here. The browser is Debian's Chromium, driven by Playwright.

- `size`: megabytes of PAGE. Bar: 4.
- `build`: seconds that its stage took, from its provenance, on one core. Bar: 10.
- `paint`: seconds until PAGE is painted first, the median of five visits. Bar: 0.5.
- `filter`: milliseconds from a word in the large page's search field to its new layout, the slowest of seven words,
  each the least of eight. Bar: 100.
- `requests`: addresses that PAGE asked for, and errors of its console. Bar: 0.

With --check, exit code 1 where a bar is not met.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from playwright.sync_api import Browser, sync_playwright

from synthood.common.artefact import read_provenance
from synthood.reporting.page.build import Parts, build
from synthood.reporting.page.settings import PageTable
from synthood.reporting.page.tables import Report
from synthood.reporting.results import GAINS, VALUES

BARS = {"size": 4.0, "build": 10.0, "paint": 0.5, "filter": 100.0, "requests": 0.0}
DETECTORS, RECIPES, VISITS = 200, 60, 5
WORDS = ("d", "de", "detector-1", "detector-19", "recipe-5", "", "detector-1 recipe-2")
FILTER = """words => {
  const field = document.getElementById("find");
  const typed = text => {
    field.value = text;
    const began = performance.now();
    field.dispatchEvent(new Event("input"));
    document.body.getBoundingClientRect();
    return performance.now() - began;
  };
  return Math.max(...words.map(word => Math.min(...Array.from({length: 8}, () => (typed("nothing"), typed(word))))));
}"""


def large() -> str:
    """A page of 12,000 rows with random numbers."""
    random, parts = np.random.default_rng(0), ["near", "far", "a", "b"]
    recipes, detectors = (
        [f"{what}-{k}" for k in range(n)] for what, n in (("recipe", RECIPES), ("detector", DETECTORS))
    )
    index = pd.MultiIndex.from_product([recipes, detectors, parts], names=["recipe", "detector", "set"])
    values = index.to_frame(index=False).assign(dataset="toy", metric="auroc", sd=1.0, seeds=3)
    values["mean"] = random.uniform(40, 99, len(values))
    values = values.assign(low=values["mean"] - 1, high=values["mean"] + 1)[VALUES]
    gains = values[(values["recipe"] != recipes[0]) & values["set"].isin(parts[:2])].drop(columns=["mean", "sd"])
    gains = gains.assign(base=recipes[0], base_detector=gains["detector"], p=np.nan)
    gains["gain"] = random.normal(size=len(gains))
    settings = PageTable(
        name="large",
        datasets=["toy"],
        recipes=recipes,
        baselines=recipes[:1],
        detectors=detectors,
        seeds=[0, 1, 2],
        near={"toy": ["a"]},
        far={"toy": ["b"]},
    )
    return build(Parts([Report(settings, values, gains[GAINS])]))


def visited(browser: Browser, page: Path) -> tuple[float, list[str]]:
    """Seconds until the first paint, and what the page asked for or complained of."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab, wrong = context.new_page(), list[str]()
    tab.on("request", lambda one: wrong.append(one.url) if one.url.startswith("http") else None)
    tab.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    tab.goto(page.resolve().as_uri())
    tab.wait_for_selector("html[data-ready]")
    tab.wait_for_timeout(300)
    found: list[Any] = tab.evaluate("performance.getEntriesByType('paint').map(one => one.startTime)")
    context.close()
    return min(found) / 1000, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a bar is not met")
    given = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        visits = [visited(browser, given.page) for _ in range(VISITS)]
        (Path(folder) / "large.html").write_text(large(), encoding="utf-8")
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto((Path(folder) / "large.html").as_uri())
        tab.wait_for_selector("html[data-ready]")
        slowest = float(tab.evaluate(FILTER, list(WORDS)))
        browser.close()
    wrong = [one for _, found in visits for one in found]
    for one in wrong[:3]:
        print(f"wrong: {one}")
    found = {
        "size": given.page.stat().st_size / 1e6,
        "build": float(read_provenance(given.page)["seconds"]),
        "paint": median(seconds for seconds, _ in visits),
        "filter": slowest,
        "requests": float(len(wrong)),
    }
    for name, bar in BARS.items():
        print(f"{name}: {found[name]:.3g} (bar {bar:g}): {'met' if found[name] <= bar else 'NOT MET'}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return int(given.check and any(found[name] > bar for name, bar in BARS.items()))


if __name__ == "__main__":
    sys.exit(main())

"""The page as text: nothing can break out of it, nothing comes from outside, and its library is the known one."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from checkouts import TIMES
from synthood.reporting.page import files
from synthood.reporting.page.build import MOST_DOWNLOAD, Parts, as_json, as_yaml, build, download
from synthood.reporting.page.checks import Warned
from synthood.reporting.page.times import Cost
from toy_reports import embedded, small_report, specification

VEGA = "850c3a4cdb119dfbbe9572c4e5f626f304743a91b0a653e661c71bd99b13a6b9"
"""SHA-256 of the bundle that reporting/page/bundle makes."""


def test_the_library_is_the_known_one() -> None:
    content = (files.ASSETS / "vega.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == VEGA
    assert b"</script" not in content.lower()
    assert b"<!--" not in content


def test_the_library_comes_with_its_licences() -> None:
    text = (files.ASSETS / "vega.LICENSES.txt").read_text()
    wanted = json.loads((files.ASSETS.parent / "bundle" / "package.json").read_text())["dependencies"]
    for name, version in wanted.items():
        assert f"\n{name} {version} (BSD-3-Clause)\n" in text
    assert text.count("Copyright") >= 50


def test_the_versions_of_the_library_are_pinned() -> None:
    folder = files.ASSETS.parent / "bundle"
    package, lock = (json.loads((folder / name).read_text()) for name in ("package.json", "package-lock.json"))
    for name, version in (package["dependencies"] | package["devDependencies"]).items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    assert all("integrity" in one for path, one in lock["packages"].items() if path)
    assert "://" not in re.sub(r'"(url|funding)": "[^"]*"', "", (folder / "package-lock.json").read_text())


class Reader(HTMLParser):
    """Scripts, addresses that a browser would ask, and the content security policy."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        if tag == "script":
            self.scripts.append((own.get("type") or "", ""))
        if own.get("http-equiv") == "Content-Security-Policy":
            self.policy = own["content"] or ""
        self.asked += [value or "" for name, value in attrs if name in ("src", "srcset", "action", "data", "poster")]
        self.asked += [own.get("href") or ""] if tag == "link" else []

    def handle_data(self, text: str) -> None:
        if self.cdata_elem == "script":
            kind, before = self.scripts[-1]
            self.scripts[-1] = kind, before + text


HOSTILE = "</script><script>alert(1)</script><!-- \"quoted\" 'too' & \u202e \u05d0\u05d1"


def test_nothing_breaks_out_of_the_page() -> None:
    made = small_report(title="</title><img src=x onerror=alert(1)>", settings={"evidence": {"digits": HOSTILE}})
    spec = specification(HOSTILE, HOSTILE)
    figure = {
        "table": "toy",
        "name": "a",
        "section": HOSTILE,
        "title": HOSTILE,
        "caption": HOSTILE,
        "spec": spec,
        "empty": "",
    }
    page = build(
        Parts([made], [Warned("a", HOSTILE)], [figure], configuration=HOSTILE, papers={"msp": [HOSTILE]},
              versions={HOSTILE: "1"})
    )  # fmt: skip
    found = Reader(page)
    assert [kind for kind, _ in found.scripts] == ["", "application/json", "application/json", "text/plain", ""]
    assert found.asked == []
    assert json.loads(found.scripts[2][1])["figures"][0]["title"] == HOSTILE
    assert page.count("alert(1)") == page.count("&lt;/script&gt;&lt;script&gt;alert(1)") + page.count(
        "\\u003c/script>\\u003cscript>alert(1)"
    ) + page.count("&lt;img src=x onerror=alert(1)&gt;")


def test_only_the_page_s_own_scripts_may_run() -> None:
    found = Reader(build(Parts([small_report()])))
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for kind, text in found.scripts
        if kind != "application/json"
    }
    rules = dict(rule.strip().split(" ", 1) for rule in found.policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert set(rules["script-src"].split()) == hashes
    assert "unsafe-eval" not in found.policy
    assert "http" not in found.policy


def test_json_has_no_numbers_that_are_none() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"x": float("nan")})


def test_the_same_parts_make_the_same_bytes() -> None:
    assert build(Parts([small_report()])) == build(Parts([small_report()]))


def test_titles() -> None:
    one = build(Parts([small_report(title="Digits")]))
    same = build(Parts([small_report(name="a", title="Digits"), small_report(name="b", title="Digits")]))
    assert "<title>Digits</title>" in one
    assert '<select id="table">' not in one
    assert "<title>Digits</title>" in same
    assert ['<option value="a">a</option>' in same, '<option value="b">b</option>' in same] == [True, True]
    assert "<title>toy</title>" in build(Parts([small_report()]))


def test_warnings_name_their_table_where_there_are_several() -> None:
    warned = [Warned("few_seeds", "Few.", "a"), Warned("copying", "Copies.")]
    page = build(Parts([small_report(name="a"), small_report(name="b")], warned))
    assert '<li data-check="few_seeds" data-table="a">a: Few.</li>' in page
    assert '<li data-check="copying">Copies.</li>' in page
    assert '<li data-check="few_seeds" data-table="a">Few.</li>' in build(Parts([small_report(name="a")], warned))


def test_a_figure_with_nothing_to_show_is_a_sentence() -> None:
    figure = {"table": "toy", "name": "a", "section": "Gains", "title": "Curves", "caption": "", "spec": {}}
    page = build(Parts([small_report()], figures=[figure | {"empty": "No three recipes."}]))
    assert "<bdi>Curves</bdi>: <bdi>No three recipes.</bdi>" in page
    assert "<figure" not in page
    wide = build(Parts([small_report()], figures=[figure | {"empty": "", "spec": {"width": 840}}]))
    assert '<figure data-figure="0" data-table="toy" class="whole">' in wide


def test_what_differs_from_run_to_run_is_apart() -> None:
    """Times in the table of stages and in the figure of detectors; elsewhere the page is the same."""

    def page(seconds: float) -> str:
        spec = {"data": {"values": [{"seconds": seconds}]}, "mark": "point"}
        figure = {
            "table": "toy",
            "name": "run_time",
            "section": "Cost",
            "title": "Run time",
            "caption": "",
            "spec": spec,
        }
        return build(Parts([small_report()], figures=[figure], costs=[Cost("train", 1, seconds, seconds)]))

    first, second = page(12.5), page(99.5)
    assert first != second
    assert re.sub(TIMES, b"", first.encode()) == re.sub(TIMES, b"", second.encode())
    found = json.loads(first.split('id="costs">')[1].split("</script>")[0])
    assert found["figures"]["0"]["data"]["values"] == [{"seconds": 12.5}]
    assert found["rows"] == [["train", "1", "12.5 s", "12.5 s", "–", "–"]]


def test_a_forecast_stands_beside_the_times() -> None:
    train = Cost("train", 2, 100, 60, 90, foretold=80, error=8, taken=90)
    page = build(Parts([small_report()], costs=[train, Cost("plot", 1, 5, 5, 4)]))
    found = json.loads(page.split('id="costs">')[1].split("</script>")[0])
    assert found["head"][-1] == "CPU time as foretold"
    assert [row[-1] for row in found["rows"]] == ["1.3 min ± 8.0 s; took +12%", "–", "1.3 min ± 8.0 s; took +12%"]
    assert found["rows"][-1][0] == "all that was foretold"
    assert {len(row) for row in found["rows"]} == {len(found["head"])}
    plain = build(Parts([small_report()], costs=[Cost("plot", 1, 5, 5, 4)]))
    assert "as foretold" not in plain.split('id="costs">')[1].split("</script>")[0]


def test_downloads_hold_the_files(tmp_path: Path) -> None:
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_text("a,b\n1,2\n")
    large.write_bytes(b"x" * (MOST_DOWNLOAD + 1))
    assert base64.b64decode(download(small)["data"]) == b"a,b\n1,2\n"
    assert download(large)["data"] == ""
    assert f"large.csv: {large}, too large for this page" in build(Parts([small_report()], files=[small, large]))


def test_the_configuration_is_its_own_again() -> None:
    canonical = '{"build":["a"],"recipes":{"ce":{"epochs":3}}}'
    assert yaml.safe_load(as_yaml(files.unpacked(files.packed(canonical)))) == json.loads(canonical)
    assert files.unpacked("") == ""


def test_the_digest_follows_the_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.js").write_text("1")
    monkeypatch.setattr(files, "ASSETS", tmp_path)
    before = files.digest_of_assets()
    assert before == files.digest_of_assets()
    (tmp_path / "page.js").write_text("2")
    assert files.digest_of_assets() != before


def test_the_data_hold_every_board() -> None:
    found = embedded(build(Parts([small_report(name="a"), small_report(name="b")])))
    assert [(one["table"], one["metric"]) for one in found["boards"]] == [("a", "auroc"), ("b", "auroc")]

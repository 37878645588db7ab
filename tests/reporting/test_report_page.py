"""The stage: what its command line gives stands in the page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from synthood.reporting import report_page
from synthood.reporting.page.files import packed
from synthood.reporting.page.settings import PageSettings, Picture
from synthood.reporting.results import csv_text
from toy_reports import embedded, png, report, small_report, specification, value


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command for two tables, with all that a page may have, and its output last."""
    other = report([value("oal", "vim", "near", 70.0, seeds=1)], name="another", seeds=[0])
    reports = [small_report(name="toy"), other]
    files: dict[str, list[Path]] = {"tables": [], "gains": [], "histories": []}
    for one in reports:
        for kind, frame in (("tables", one.values), ("gains", one.gains)):
            files[kind].append(tmp_path / f"{one.name}-{kind}.csv")
            files[kind][-1].write_text(csv_text(frame))
    for number in range(7):  # two recipes of three seeds, one of one
        files["histories"].append(tmp_path / f"history{number}.csv")
        files["histories"][-1].write_text("epoch,accuracy,val_accuracy\n0,0.5,0.4\n1,0.6,0.5\n")
    (tmp_path / "toy").mkdir()
    files["specifications"] = [tmp_path / "toy" / "line.vl.json"]
    files["specifications"][0].write_text(json.dumps(specification()))
    files["pictures"] = [tmp_path / "map.png", tmp_path / "gallery.png"]
    for path in files["pictures"]:
        path.write_bytes(png())
    files["measured"] = [tmp_path / "assessment.json"]
    files["measured"][0].write_text('{"kept": 0, "latents": 40, "after_gate": {"called_id_share": null}}')
    made = tmp_path / "results/digits/models/sio/seed0/history.csv.provenance.json"
    made.parent.mkdir(parents=True)
    facts = {"stage": "train", "fingerprint": "a", "seconds": 12.5, "cpu_seconds": 11, "peak_memory_mib": 800}
    made.write_text(json.dumps(facts))
    settings = PageSettings(
        tables=[one.settings for one in reports],
        pictures=[
            Picture(kind="map", dataset="digits", name="sio"),
            Picture(kind="outliers", dataset="digits", name="oal"),
        ],
        jobs=["ce", "sio"],
        papers={"msp": ["arXiv 1610.02136"]},
        configuration=packed('{"recipes":{"ce":{"epochs":3}}}'),
    )
    found = ["--settings", settings.canonical(), "--results", str(tmp_path / "results")]
    for name, paths in files.items():
        found += [f"--{name}", *map(str, paths)]
    return [*found, "--output", str(tmp_path / "index.html")]


def test_all_parts_reach_the_page(words: list[str]) -> None:
    report_page.main(words)
    page = Path(words[-1]).read_text()
    data = embedded(page)
    assert [board["table"] for board in data["boards"]] == ["toy", "another"]
    assert data["boards"][1]["rows"] == [["vim", "oal"]]
    assert [one["title"] for one in data["figures"]] == ["A line"]
    assert len(data["images"]) == 2
    for text in (
        '<li data-check="few_seeds" data-table="another">another: One seed',
        "The gate of oal on digits accepted no outlier.",
        "oal on digits may be under-fitted: accuracy at its end is training 60 %, validation 50 %.",
        '["train","1","12.5 s","12.5 s","11.0 s","0.78 GiB"]',
        "recipes:\n  ce: {epochs: 3}",
        'download="toy-tables.csv"',
        '<dt><bdi>accepted</bdi></dt><dd class="">0</dd>',
    ):
        assert text in page, text


def test_the_same_job_writes_the_same_bytes(words: list[str]) -> None:
    report_page.main(words)
    before = Path(words[-1]).read_bytes()
    report_page.main(words)
    assert Path(words[-1]).read_bytes() == before


def changed(words: list[str], option: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> str:
    """The page after a change of the first file of an option."""
    path = Path(words[words.index(option) + 1])
    path.write_text(csv_text(change(pd.read_csv(path, keep_default_na=False, na_values={"mean": [""]}))))
    report_page.main(words)
    return Path(words[-1]).read_text(encoding="utf-8")


def test_a_recipe_that_is_missing_in_a_table_is_named(words: list[str]) -> None:
    """Of one its rows, of another some numbers."""
    gone = changed(words, "--tables", lambda rows: rows[rows["recipe"] != "sio"])
    assert "toy: No number on digits for sio by msp, sio by knn (AUROC).</li>" in gone
    board = embedded(gone)["boards"][0]
    assert [row[1] for row in board["rows"]] == ["ce", "ce"]
    assert board["gains"]["ce"]["near"] == {}


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", ""])
def test_what_is_no_number_in_a_table_is_none_on_the_page(words: list[str], number: str) -> None:
    def broken(rows: pd.DataFrame) -> pd.DataFrame:
        chosen = (rows["recipe"] == "sio") & (rows["detector"] == "knn")
        return rows.assign(**{name: rows[name].astype(object).where(~chosen, number) for name in ("mean", "low")})

    page = changed(words, "--tables", broken)
    near = embedded(page)["boards"][0]["values"]["near"]
    assert near["mean"] == [80, 85, 81, None]
    assert near["low"] == [79, 84, 80, None]
    assert "toy: No number on digits for sio by knn (AUROC).</li>" in page
    assert "ce by knn is best, AUROC 85.00" in page


def test_rows_of_different_seeds_are_named(words: list[str]) -> None:
    page = changed(words, "--tables", lambda rows: rows.assign(seeds=[2 if r == "sio" else 3 for r in rows["recipe"]]))
    assert "toy: sio: over 2 seeds, where other rows have 3. Compare them by their gains" in page


def test_a_training_that_failed_is_no_under_fitting(words: list[str]) -> None:
    path = Path(words[words.index("--histories") + 7])
    path.write_text("epoch,accuracy,val_accuracy\n0,0.5,0.4\n1,,\n")
    report_page.main(words)
    assert "oal on digits may be under-fitted" not in Path(words[-1]).read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--tables", "--gains", "--histories", "--pictures", "--measured"])
def test_a_file_that_is_not_there_is_named(words: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(words[words.index(option) + 1])
    path.unlink()
    with pytest.raises(SystemExit):
        report_page.main(words)
    assert capsys.readouterr().err == f"error: {path}: not found; run the stage that makes it\n"
    assert not Path(words[-1]).exists()


@pytest.mark.parametrize("name", ["toy", "Toy"])
def test_two_tables_of_one_name_are_refused(name: str) -> None:
    """Each would be shown in the other's place."""
    with pytest.raises(ValidationError, match="two tables are named 'toy' or alike; give each a"):
        PageSettings(tables=[small_report(name="toy").settings, small_report(name=name).settings])


def without(words: list[str], option: str) -> list[str]:
    """The command with one file less of an option."""
    at = words.index(option)
    end = next(place for place in range(at + 1, len(words)) if words[place].startswith("--"))
    return words[: end - 1] + words[end:]


@pytest.mark.parametrize("option", ["--tables", "--gains", "--histories", "--pictures", "--measured"])
def test_a_file_too_few_is_refused(words: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        report_page.main(without(words, option))
    assert f"error: {option}: " in capsys.readouterr().err
    assert not Path(words[-1]).exists()


def test_tables_in_another_order_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Else each would stand under the other's name."""
    at = words.index("--tables")
    words[at + 1], words[at + 2] = words[at + 2], words[at + 1]
    with pytest.raises(SystemExit):
        report_page.main(words)
    assert "recipe 'oal' is not in table toy" in capsys.readouterr().err


def test_a_table_alone_makes_a_page(words: list[str], tmp_path: Path) -> None:
    settings = PageSettings(tables=[small_report().settings])
    files: dict[str, Any] = {"tables": words[words.index("--tables") + 1], "gains": words[words.index("--gains") + 1]}
    given = [text for name, path in files.items() for text in (f"--{name}", path)]
    report_page.main(["--settings", settings.canonical(), *given, "--output", str(tmp_path / "small.html")])
    page = (tmp_path / "small.html").read_text()
    assert 'id="galleries"' not in page
    assert embedded(page)["figures"] == []

"""Pictures become small, and figures are judged by the documented limits."""

from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from odd_names import ODD, REVERSED
from synthood.errors import SynthoodError
from synthood.reporting.page import limits
from synthood.reporting.page.build import Parts, build
from synthood.reporting.page.galleries import (
    MOST_PIXELS,
    as_webp,
    galleries,
    outlier_figures,
    read_figures,
    synthetic_figures,
)
from synthood.reporting.page.settings import Picture, PictureKind
from toy_reports import decoded, png, small_report

QUALITY = {
    "agreement": 0.8,
    "diversity": 0.4,
    "copy_share": 0.01,
    "copying": {"pixels": -3.86, "classifier": None},
    "features": {"classifier": {"fid": {"value": 1.5}, "floor": {"fid": {"value": 0.25}}}},
    "by_class": {"one": {"agreement": 0.6, "diversity": 0.9}, "two": {"agreement": 0.95, "diversity": 0.9}},
}


@pytest.mark.parametrize(
    ("limit", "values"),
    [
        (limits.COPYING, {"good": -2, "fair": -3, "poor": -3.01}),
        (limits.CALLED_ID, {"good": 0.1, "fair": 0.25, "poor": 0.26}),
        (limits.AGREEMENT, {"good": 0.9, "fair": 0.7, "poor": 0.69}),
    ],
)
def test_limits(limit: limits.Limit, values: dict[str, float]) -> None:
    assert {limit.judge(value): value for value in values.values()} == values
    assert limit.judge(None) == limit.judge(float("nan")) == ""


def test_the_documents_say_the_same_limits() -> None:
    text = (Path(__file__).parents[3] / "docs" / "report.md").read_text()
    for name, limit in vars(limits).items():
        if isinstance(limit, limits.Limit):
            row = next((line for line in text.splitlines() if line.startswith(f"| {name.lower()} ")), "")
            assert [float(cell) for cell in row.split("|")[3:5]] == [limit.good, limit.poor], name


def judged(rows: list[dict[str, str]]) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["text"], row["judged"]) for row in rows}


def test_figures_of_synthetic_images() -> None:
    assert judged(synthetic_figures(QUALITY)) == {
        "agreement of the judge": ("80.0%", "fair"),
        "diversity, of real images' own": ("0.40", "poor"),
        "copies": ("1.0%", "good"),
        "copying, pixels": ("-3.9", "poor"),
        "copying, classifier features": ("–", ""),
        "classifier FID": ("1.5", ""),
        "of real images": ("0.25", ""),
        "agreement of one": ("60%", "poor"),
    }


@pytest.mark.parametrize("name", [*ODD.values(), f"{REVERSED}\udc80"])
def test_classes_of_odd_names(name: str) -> None:
    """What turns the reading direction, or UTF-8 lacks, is an escape; the page escapes the rest."""
    (row,) = [row for row in synthetic_figures({"by_class": {name: {"agreement": 0.5}}}) if row["judged"]]
    shown = name if name in ODD.values() else r"a\u202eb\u2066c\udc80"
    assert row["name"] == f"agreement of {shown}"
    gallery = {"title": "a", "dataset": "b", "figures": [row], "image": "", "width": 1, "height": 1, "cut": False}
    page = build(Parts([small_report()], galleries=[gallery]))
    page.encode()
    assert f"<bdi>{escape(row['name'])}</bdi></dt>" in page


@pytest.mark.parametrize("value", [None, float("nan")])
def test_figures_without_a_number_are_dashes(value: float | None) -> None:
    found = {
        "agreement": value,
        "copy_share": value,
        "copying": {"pixels": value},
        "by_class": {"a": {"agreement": value}},
    }
    rows = judged(synthetic_figures(found))
    assert set(rows.values()) == {("–", "")}
    assert "agreement of a" not in rows


def test_figures_of_outliers_none_of_which_was_accepted() -> None:
    nothing: dict[str, Any] = {"intended_share": None, "surely_other_class_share": None, "called_id_share": None}
    found = {
        "kept": 0,
        "latents": 40,
        "percentile_among_candidates": 0.5,
        "before_gate": nothing,
        "after_gate": nothing,
    }
    rows = judged(outlier_figures(found))
    assert rows["accepted"] == ("0", "")
    assert rows["percentile among candidates"] == ("0.500", "poor")
    assert rows["called ID, accepted"] == ("–", "")


def test_figures_of_outliers_that_were_pushed_across_the_boundary() -> None:
    found = {
        "kept": 3,
        "latents": 4,
        "steps_to_cross": {"p5": 1.0, "p50": 4.0, "p95": 6.0},
        "crossed": {"embeddings": 0.971, "id_embeddings": 0.0, "images": 0.5, "id_images": None},
    }
    rows = judged(outlier_figures(found))
    assert rows["steps to cross, median"] == ("4", "")
    assert "percentile among candidates" not in rows
    assert rows["another class, embeddings"] == ("97.1%", "")
    assert rows["another class, ID embeddings"] == ("0.0%", "")
    assert rows["another class, images"] == ("50.0%", "")
    assert rows["another class, ID images"] == ("–", "")


def test_figures_of_tokens_are_those_of_the_manifolds() -> None:
    share = {"low": 0.8, "high": 0.95, "of": 120}
    manifolds = {"held_out_inside": {"share": 0.9, **share}, "outliers_outside_all": {"share": 1.0, **share}}
    rows = judged(outlier_figures({"kept": 7, "latents": 9, "manifolds": manifolds}))
    assert rows["new ID images inside the manifolds"] == ("90%", "")
    assert rows["tokens outside all"] == ("100%", "")
    assert "percentile among candidates" not in rows


def test_a_picture_keeps_its_size_and_loses_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(300, 200))
    found = as_webp(tmp_path / "a.png")
    assert decoded(found["image"]).size == (found["width"], found["height"]) == (300, 200)
    assert decoded(found["image"]).format == "WEBP"
    assert not found["cut"]
    assert len(found["image"]) * 3 / 4 < len(png(300, 200)) / 2


def test_a_very_tall_picture_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthood.reporting.page.galleries.MOST_PIXELS", 300)
    (tmp_path / "a.png").write_bytes(png(60, 40))
    assert {key: as_webp(tmp_path / "a.png")[key] for key in ("width", "height", "cut")} == {
        "width": 60, "height": 5, "cut": True,
    }  # fmt: skip
    assert MOST_PIXELS < 16383**2  # the most that the format holds


def test_figures_belong_to_their_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    kinds: tuple[PictureKind, ...] = ("curve", "synthetic", "map", "outliers")
    pictures = [Picture(kind=kind, dataset="digits", name="oal") for kind in kinds]
    outliers = {"kept": 7, "latents": 9}
    found = galleries(pictures, [tmp_path / "a.png"] * 4, [QUALITY, outliers])
    assert [one["kind"] for one in found] == list(kinds)
    assert [bool(one["figures"]) for one in found] == [False, True, False, True]
    assert judged(found[3]["figures"])["accepted"] == ("7", "")
    assert found[1]["title"] == "Synthetic images of oal"


@pytest.mark.parametrize("content", ["{", "[]"])
def test_figures_that_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "quality.json").write_text(content)
    with pytest.raises(SynthoodError, match=r"quality\.json: no JSON"):
        read_figures(tmp_path / "quality.json")

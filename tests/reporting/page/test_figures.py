"""Figures are read with what they say of themselves, or without."""

import json
from pathlib import Path
from typing import Any

import pytest

from synthood.errors import SynthoodError
from synthood.reporting.page.figures import figures
from toy_reports import specification


def written(folder: Path, name: str, content: Any) -> Path:
    path = folder / "toy" / f"{name}.vl.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_sections_come_by_the_order_of_their_first_figure(tmp_path: Path) -> None:
    each = [("late", "Curves", 3), ("second", "Gains", 2), ("first", "Curves", 1)]
    found = figures(written(tmp_path, name, specification(section, name, order)) for name, section, order in each)
    assert [(one["section"], one["name"], one["table"]) for one in found] == [
        ("Curves", "first", "toy"),
        ("Curves", "late", "toy"),
        ("Gains", "second", "toy"),
    ]
    assert "usermeta" not in found[0]["spec"]
    assert found[0]["caption"] == "Up."


@pytest.mark.parametrize("meta", [None, 3, {}, {"synthood": "text"}, {"synthood": {"title": 3, "order": "x"}}])
def test_a_figure_that_says_nothing_is_called_by_its_name(tmp_path: Path, meta: Any) -> None:
    spec = {"mark": "bar"} if meta is None else {"mark": "bar", "usermeta": meta}
    (found,) = figures([written(tmp_path, "run_time", spec)])
    assert (found["section"], found["title"], found["caption"]) == ("More figures", "Run time", "")


def test_what_is_no_number_becomes_null(tmp_path: Path) -> None:
    (found,) = figures([written(tmp_path, "a", '{"data": {"values": [{"x": NaN, "y": [1, -Infinity]}]}}')])
    assert found["spec"] == {"data": {"values": [{"x": None, "y": [1, None]}]}}


@pytest.mark.parametrize("content", ["{", "[1]", '"text"'])
def test_what_is_no_specification(tmp_path: Path, content: str) -> None:
    with pytest.raises(SynthoodError, match=r"a\.vl\.json: no "):
        figures([written(tmp_path, "a", content)])

"""Leaderboards against the rows that they are made of."""

from pathlib import Path

import pytest

from synthood.errors import SynthoodError
from synthood.reporting.page.tables import address, leaderboards, read_report
from synthood.reporting.results import csv_text
from toy_reports import NAN, gain, report, small_report, value


def test_numbers_are_in_the_place_of_their_row() -> None:
    (board,) = leaderboards(small_report())
    assert board["rows"] == [["msp", "ce"], ["knn", "ce"], ["msp", "sio"], ["knn", "sio"]]
    assert board["sets"] == ["near", "far", "eights", "noise", "textures"]
    assert board["values"]["near"]["mean"] == [80, 85, 81, 88]
    assert board["values"]["far"]["low"] == [84, 89, 85, 92]
    assert board["gains"] == {
        "ce": {
            "near": {"gain": [None, None, 1, 3], "low": [None, None, 0, 2], "high": [None, None, 2, 4],
                     "p": [None, None, 0.01, None]},
            "far": {"gain": [None, None, 1, None], "low": [None, None, 0, None], "high": [None, None, 2, None],
                    "p": [None, None, 0.2, None]},
        }
    }  # fmt: skip
    assert board["level"] == 0.05
    assert board["roles"] == {"near": ["eights"], "far": ["noise", "textures"]}


def test_gains_of_a_detector_over_another_are_no_column() -> None:
    rows = [value("ce", "msp", "near", 80.0), value("ce", "knn", "near", 85.0)]
    (board,) = leaderboards(report(rows, [gain("ce", "knn", "near", 5.0, base_detector="msp")]))
    assert board["gains"] == {}


def test_what_is_missing_is_null() -> None:
    (board,) = leaderboards(report([value("ce", "msp", "near", NAN, sd=NAN), value("ce", "knn", "far", 85.0)]))
    assert board["values"]["near"] == {}
    assert board["values"]["far"] == {"mean": [None, 85], "sd": [None, 0.5], "low": [None, 84], "high": [None, 86]}


def test_files_of_another_table_are_refused(tmp_path: Path) -> None:
    made = small_report()
    paths = tmp_path / "a.csv", tmp_path / "a-gains.csv"
    for path, frame in zip(paths, (made.values, made.gains), strict=True):
        path.write_text(csv_text(frame))
    again = read_report(made.settings, *paths)
    assert leaderboards(again) == leaderboards(made)
    other = report([value("oal", "msp", "near", 80.0)], name="other")
    with pytest.raises(SynthoodError, match=r"a\.csv: recipe 'ce' is not in table other"):
        read_report(other.settings, *paths)
    paths[1].write_text("a,b\n1,2\n")
    with pytest.raises(SynthoodError, match=r"a-gains\.csv: no column dataset"):
        read_report(made.settings, *paths)


def test_names_like_na_are_names(tmp_path: Path) -> None:
    made = report([value("NA", "null", "near", 80.0)])
    (tmp_path / "a.csv").write_text(csv_text(made.values))
    (tmp_path / "g.csv").write_text(csv_text(made.gains))
    again = read_report(made.settings, tmp_path / "a.csv", tmp_path / "g.csv")
    assert leaderboards(again)[0]["rows"] == [["null", "NA"]]


def test_addresses_of_papers() -> None:
    assert address("OAL, arXiv 2406.16525") == "https://arxiv.org/abs/2406.16525"
    assert address("Liu, Lochman, Zach, CVPR 2023") == ""

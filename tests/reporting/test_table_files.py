"""Every format of a table: files by hand, LaTeX that compiles, and what each says of one result."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from golden_tables import FOLDER, MEANS, TABLE, TITLE, rendered, results
from synthood.reporting.latex_table import escaped
from synthood.reporting.wide_tables import LEADERBOARD, leaderboard, wide

SOME = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return rendered()


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_every_format_is_as_its_file(texts: dict[str, str], name: str) -> None:
    assert texts[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_there_is_a_file_of_every_format(texts: dict[str, str]) -> None:
    assert set(texts) == {path.name for path in FOLDER.iterdir()}


def compiled(text: str, folder: Path) -> str:
    """The log of pdflatex; fails where it does, skips where there is none."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed; `apt install texlive-latex-recommended` has it and booktabs")
    (folder / "some.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "some.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    output = done.stdout.decode("utf-8", "replace")
    if "booktabs.sty' not found" in output:
        pytest.skip("LaTeX's package booktabs is not installed; `apt install texlive-latex-recommended` has it")
    assert done.returncode == 0, output
    return output


def test_latex_compiles(texts: dict[str, str], tmp_path: Path) -> None:
    """A title in any script is a comment; names with underscores and percent signs are letters."""
    hard = r"\caption{" + escaped('a_b & 50 % {x} ~ # $ ^ \\ <b> "q" ± † – * [a] a--b') + "}"
    text = texts["table.tex"].replace(r"\label{tab:cifar10-auroc}", hard)
    output = compiled(SOME % text, tmp_path)
    assert "Output written on some.pdf" in output
    assert "Missing character" not in output
    assert (tmp_path / "some.pdf").read_bytes().startswith(b"%PDF")


def test_latex_marks_best_second_and_significance(texts: dict[str, str]) -> None:
    text = texts["table.tex"]
    assert text.count(r"\begin{table}") == text.count(r"\toprule") == text.count(r"\bottomrule") == 3
    assert r"& cut\_mix & 87.00 \ensuremath{\pm} 0.25" in text
    assert r"\textbf{90.50 \ensuremath{\pm} 0.25}" in text
    assert r"+2.50\textsuperscript{*}" in text
    assert r"\ensuremath{-}2.50" in text
    assert all(line.startswith("%") for line in text.splitlines() if "שלום" in line)


def test_a_hard_title_stays_one_line_of_text(texts: dict[str, str]) -> None:
    assert len(TITLE) > 200
    assert texts["table.md"].splitlines()[0] == "# " + re.sub(r"([\\<~])", r"\\\1", TITLE)
    page = texts["table.html"]
    assert "<b>50" not in page
    assert "&lt;b&gt;50 %&lt;/b&gt;" in page
    assert '<h1 dir="auto">' in page


def test_wide_has_a_row_per_recipe_and_detector() -> None:
    made = results()
    found = wide(made.values)
    assert found[["recipe", "detector"]].to_numpy().tolist() == [[r, d] for d in TABLE.detectors for r in MEANS]
    sio = found.set_index(["recipe", "detector"]).loc[("sio", "knn")]
    assert (sio["auroc_near"], sio["auroc_near_sd"], sio["auroc_svhn"]) == (90.5, 0.25, 92.5)
    assert (sio["fpr95_id_positive_far"], sio["id_accuracy"]) == (7.5, 89.5)
    numbers = [name for name in found if name not in ("dataset", "recipe", "detector")]
    assert len(numbers) == 2 * (2 * 4 + 1)
    alone = wide(made.values[made.values["metric"] == "id_accuracy"])
    assert alone[["recipe", "detector"]].to_numpy().tolist() == [[recipe, ""] for recipe in MEANS]


def test_the_leaderboard_is_as_openoods() -> None:
    """There: `CrossEntropy,MSP,88.03 ± 0.25,90.73 ± 0.43,95.06 ± 0.30,No,ResNet18,100 epochs`."""
    rows = list(csv.DictReader(io.StringIO(rendered()["table-leaderboard.csv"])))
    assert list(rows[0]) == LEADERBOARD
    assert rows[0] == {
        "Training": "sio",
        "Postprocessor": "knn",
        "Near-OOD_AUROC": "90.50 ± 0.25",
        "Far-OOD_AUROC": "92.50 ± 0.25",
        "ID_Accuracy": "89.50 ± 0.25",
        "Outlier_Data": "No",
        "Arch": "ResNet18",
        "Additional_Description": "100 epochs",
    }
    assert {row["Training"]: row["Outlier_Data"] for row in rows} == {"ce": "No", "sio": "No", "cut_mix": "Yes"}
    near = [float(re.split(" ", row["Near-OOD_AUROC"])[0]) for row in rows]
    assert near == sorted(near, reverse=True)


def test_the_leaderboard_has_a_slash_where_there_is_no_number() -> None:
    values = results().values
    some = values[(values["set"] != "near") & (values["metric"] == "auroc")]
    board = leaderboard(some, TABLE, {}, [], {})
    assert set(board["Near-OOD_AUROC"]) == set(board["ID_Accuracy"]) == {"/"}
    assert isinstance(board, pd.DataFrame)

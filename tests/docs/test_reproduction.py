"""The tables of docs/reproduction.md are those of the results kept beside it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

PROJECT = Path(__file__).parents[2]
DOCUMENT = PROJECT / "docs" / "reproduction.md"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", PROJECT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_what_its_file_says(tables: ModuleType) -> None:
    text = DOCUMENT.read_text()
    assert tables.rewritten(text, DOCUMENT.with_suffix("")) == text
    assert len(tables.BLOCK.findall(text)) == text.count("<!-- table:")
    assert len(tables.PLAIN.findall(text)) == text.count("<!-- csv:")
    assert len(tables.SEEDS.findall(text)) == text.count("<!-- seeds:")


def test_check_says_whether_the_document_is_up_to_date(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "page.md"
    document.with_suffix("").mkdir()
    (document.with_suffix("") / "curve.csv").write_text("step\n600\n")
    document.write_text("<!-- csv: curve step -->\n<!-- end -->\n")
    monkeypatch.setattr(tables, "DOCUMENT", document)
    monkeypatch.setattr("sys.argv", ["tables.py", "--check"])
    with pytest.raises(SystemExit, match="its tables are not those of its files"):
        tables.main()
    monkeypatch.setattr("sys.argv", ["tables.py"])
    tables.main()
    monkeypatch.setattr("sys.argv", ["tables.py", "--check"])
    tables.main()


def test_every_file_stands_in_the_document(tables: ModuleType) -> None:
    text = DOCUMENT.read_text()
    named = {found[1] for blocks in (tables.BLOCK, tables.PLAIN, tables.SEEDS) for found in blocks.findall(text)}
    assert {path.stem for path in DOCUMENT.with_suffix("").glob("*.csv")} == named


@pytest.fixture
def results(tmp_path: Path) -> Path:
    line = {"set": "near", "metric": "auroc", "detector": "msp", "base": "ce", "sd": 0.01, "low": 0.7, "high": 0.95}
    line |= {"seeds": 5}
    rows = [
        line | {"recipe": "ce", "mean": 0.8, "gain": 0.0, "gain_low": 0.0, "gain_high": 0.0},
        line | {"recipe": "sio", "mean": 0.8125, "gain": 0.0125, "gain_low": 0.001, "gain_high": 0.024},
        line | {"recipe": "cutout", "mean": 0.79, "sd": None, "gain": -0.01, "gain_low": -0.03, "gain_high": 0.01},
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "some.csv", index=False)
    return tmp_path


def test_values_and_gains_by_hand(tables: ModuleType, results: Path) -> None:
    text = (
        "before\n<!-- table: some near auroc -->\nold\n<!-- end -->\n"
        "<!-- table: some near auroc gain over ce -->\n<!-- end -->"
    )
    assert tables.rewritten(text, results) == (
        "before\n<!-- table: some near auroc -->\n| | ce | sio | cutout |\n| --- | ---: | ---: | ---: |\n"
        "| msp | 80.00 ± 1.00 | 81.25 ± 1.00 | 79.00 [70.0, 95.0] |\n<!-- end -->\n"
        "<!-- table: some near auroc gain over ce -->\n| | sio | cutout |\n| --- | ---: | ---: |\n"
        "| msp | **+1.25 [+0.10, +2.40]** | -1.00 [-3.00, +1.00] |\n<!-- end -->"
    )


def test_no_minus_stands_before_zero(tables: ModuleType) -> None:
    line = pd.Series({"gain": 0.0043, "gain_low": -0.00004, "gain_high": 0.0086, "seeds": 5})
    assert tables.gain(line) == "+0.43 [+0.00, +0.86]"


@pytest.mark.parametrize(("seeds", "shown"), [(4, "+4.30 [+3.00, +5.60]"), (5, "**+4.30 [+3.00, +5.60]**")])
def test_a_gain_is_bold_from_five_seeds_on(tables: ModuleType, seeds: int, shown: str) -> None:
    line = pd.Series({"gain": 0.043, "gain_low": 0.03, "gain_high": 0.056, "seeds": seeds})
    assert tables.gain(line) == shown


def test_each_recipe_over_the_base_it_is_listed_with(tables: ModuleType, tmp_path: Path) -> None:
    """Rows of several tables in one file: a recipe is listed once for each of its bases."""
    line = {"set": "near", "metric": "auroc", "detector": "msp", "sd": 0.01, "gain_low": -0.01, "gain_high": 0.05}
    line |= {"seeds": 2}
    rows = [
        line | {"recipe": recipe, "base": base, "mean": mean, "gain": gain}
        for recipe, base, mean, gain in (
            ("ce", "ce", 0.70, 0.0),
            ("sio", "ce", 0.72, 0.02),
            ("ce", "cutout", 0.70, -0.03),
            ("sio", "cutout", 0.72, -0.01),
            ("ce-100", "ce-100", 0.60, 0.0),
            ("sio-100", "ce-100", 0.64, 0.04),
        )
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "curve.csv", index=False)
    values = tables.rewritten("<!-- table: curve near auroc -->\n<!-- end -->", tmp_path)
    assert "| | ce | sio | ce-100 | sio-100 |\n" in values
    assert "| msp | 70.00 ± 1.00 | 72.00 ± 1.00 | 60.00 ± 1.00 | 64.00 ± 1.00 |\n" in values
    gains = tables.rewritten("<!-- table: curve near auroc gain over ce,ce-100 -->\n<!-- end -->", tmp_path)
    assert "| | sio | sio-100 |\n" in gains
    assert "| msp | +2.00 [-1.00, +5.00] | +4.00 [-1.00, +5.00] |\n" in gains
    asked = "sio/cutout,sio-100/ce-100"
    pairs = tables.rewritten(f"<!-- table: curve near auroc gain over {asked} -->\n<!-- end -->", tmp_path)
    assert "| | sio | sio-100 |\n" in pairs
    assert "| msp | -1.00 [-1.00, +5.00] | +4.00 [-1.00, +5.00] |\n" in pairs


def test_what_a_file_does_not_hold_is_an_error(tables: ModuleType, results: Path) -> None:
    for asked in ("far auroc", "near,far auroc", "near fpr95", "near auroc gain over cutout"):
        with pytest.raises(ValueError, match="not one row for each cell of set"):
            tables.rewritten(f"<!-- table: some {asked} -->\n<!-- end -->", results)


def test_sets_of_one_recipe_stand_side_by_side(tables: ModuleType, tmp_path: Path) -> None:
    line = {"recipe": "r", "metric": "auroc", "detector": "knn", "base": "r", "sd": None, "low": 0.5, "high": 1.0}
    pd.DataFrame([line | {"set": "far", "mean": 0.9}, line | {"set": "near", "mean": 0.8}]).to_csv(tmp_path / "one.csv")
    found = tables.rewritten("<!-- table: one near,far auroc -->\n<!-- end -->", tmp_path)
    assert "| | near | far |\n| --- | ---: | ---: |\n| knn | 80.00 [50.0, 100.0] | 90.00 [50.0, 100.0] |\n" in found


def test_seeds_by_hand(tables: ModuleType, tmp_path: Path) -> None:
    """Of those that have a figure; none is no number."""
    (tmp_path / "seeds.csv").write_text("recipe,seed,knn,test_accuracy\nce,0,0.70,0.5\nce,1,0.74,\nsio,3,0.8,\n")
    assert tables.rewritten("<!-- seeds: seeds -->\nold\n<!-- end -->", tmp_path) == (
        "<!-- seeds: seeds -->\n| | ce | sio |\n| --- | ---: | ---: |\n| knn | 72.00 ± 2.83 (2) | 80.00 (1) |\n"
        "| test accuracy | 50.00 (1) | |\n<!-- end -->"
    )


def test_columns_of_a_file_as_they_are(tables: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text("step,a_b,c\n600,0.50,x\n1200,,y\n")
    found = tables.rewritten("<!-- csv: curve c,a_b -->\nold\n<!-- end -->", tmp_path)
    assert found == "<!-- csv: curve c,a_b -->\n| c | a b |\n| --- | ---: |\n| x | 0.50 |\n| y | |\n<!-- end -->"

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
    files = {path.stem for path in DOCUMENT.with_suffix("").glob("*.csv")}
    assert {name.removesuffix("-gains") for name in files} == named
    assert {f"{found[1]}-gains" for found in tables.BLOCK.findall(text) if found[4]} <= files


@pytest.mark.parametrize("file", sorted(DOCUMENT.with_suffix("").glob("*-gains.csv")), ids=lambda file: file.stem)
def test_gains_are_differences_of_the_values_in_percent(file: Path) -> None:
    """Four decimals each, so that they agree within their rounding."""
    keys = ["dataset", "detector", "set", "metric"]
    values = pd.read_csv(file.with_name(f"{file.stem.removesuffix('-gains')}.csv"), keep_default_na=False)
    gains = pd.read_csv(file, keep_default_na=False)
    means = values.set_index(["recipe", *keys])["mean"].to_dict()
    for line in gains.to_dict("records"):
        item = tuple(line[key] for key in keys)
        expected = means[(line["recipe"], *item)] - means[(line["base"], *item)]
        assert line["gain"] == pytest.approx(expected, abs=1.6e-4)
    assert not values.duplicated(["recipe", *keys]).any()
    assert values["mean"].between(10, 100).any()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    line = {"set": "near", "metric": "auroc", "detector": "msp", "sd": 1, "low": 70, "high": 95, "seeds": 5}
    rows = [
        line | {"recipe": "ce", "mean": 80},
        line | {"recipe": "sio", "mean": 81.25},
        line | {"recipe": "cutout", "mean": 79, "sd": None},
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "some.csv", index=False)
    gains = [
        line | {"recipe": "sio", "base": "ce", "gain": 1.25, "low": 0.1, "high": 2.4},
        line | {"recipe": "cutout", "base": "ce", "gain": -1, "low": -3, "high": 1},
    ]
    pd.DataFrame(gains).to_csv(tmp_path / "some-gains.csv", index=False)
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
        "| msp | +1.25° [+0.10, +2.40] | -1.00 [-3.00, +1.00] |\n<!-- end -->"
    )


def test_a_bound_below_zero_does_not_read_as_zero(tables: ModuleType) -> None:
    line = pd.Series({"gain": 0.43, "low": -0.004, "high": 0.86, "seeds": 5})
    assert tables.gain(line) == "+0.43 [-0.004, +0.86]"


@pytest.mark.parametrize(("seeds", "shown"), [(4, "+4.30 [+3.00, +5.60]"), (5, "+4.30° [+3.00, +5.60]")])
def test_a_gain_is_marked_from_five_seeds_on(tables: ModuleType, seeds: int, shown: str) -> None:
    line = pd.Series({"gain": 4.3, "low": 3.0, "high": 5.6, "seeds": seeds})
    assert tables.gain(line) == shown


def test_each_recipe_over_the_base_it_is_listed_with(tables: ModuleType, tmp_path: Path) -> None:
    """Rows of several tables in one file: a recipe is listed once for each of its bases."""
    line = {"set": "near", "metric": "auroc", "detector": "msp", "sd": 1, "low": -1, "high": 5, "seeds": 2}
    means = {"ce": 70, "sio": 72, "ce-100": 60, "sio-100": 64}
    pd.DataFrame([line | {"recipe": name, "mean": mean} for name, mean in means.items()]).to_csv(
        tmp_path / "curve.csv", index=False
    )
    over = [("sio", "ce", 2), ("ce", "cutout", -3), ("sio", "cutout", -1), ("sio-100", "ce-100", 4)]
    pd.DataFrame([line | {"recipe": name, "base": base, "gain": gain} for name, base, gain in over]).to_csv(
        tmp_path / "curve-gains.csv", index=False
    )
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
    line = {"recipe": "r", "metric": "auroc", "detector": "knn", "sd": None, "low": 50, "high": 100}
    pd.DataFrame([line | {"set": "far", "mean": 90}, line | {"set": "near", "mean": 80}]).to_csv(tmp_path / "one.csv")
    found = tables.rewritten("<!-- table: one near,far auroc -->\n<!-- end -->", tmp_path)
    assert "| | near | far |\n| --- | ---: | ---: |\n| knn | 80.00 [50.0, 100.0] | 90.00 [50.0, 100.0] |\n" in found


def test_seeds_by_hand(tables: ModuleType, tmp_path: Path) -> None:
    """Of those that have a figure; none is no number."""
    (tmp_path / "seeds.csv").write_text("recipe,seed,knn,test_accuracy\nce,0,70,50\nce,1,74,\nsio,3,80,\n")
    assert tables.rewritten("<!-- seeds: seeds -->\nold\n<!-- end -->", tmp_path) == (
        "<!-- seeds: seeds -->\n| | ce | sio |\n| --- | ---: | ---: |\n| knn | 72.00 ± 2.83 (2) | 80.00 (1) |\n"
        "| test accuracy | 50.00 (1) | |\n<!-- end -->"
    )


def test_columns_of_a_file_as_they_are(tables: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text("step,a_b,c\n600,0.50,x\n1200,,y\n")
    found = tables.rewritten("<!-- csv: curve c,a_b -->\nold\n<!-- end -->", tmp_path)
    assert found == "<!-- csv: curve c,a_b -->\n| c | a b |\n| --- | ---: |\n| x | 0.50 |\n| y | |\n<!-- end -->"

"""The console script."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import synthood
from synthood.cli import main
from synthood.config.reference import markdown
from synthood.config.schema import json_schema

CONFIG = Path(__file__).parents[1] / "config.yaml"


@pytest.fixture
def raw():
    return yaml.safe_load(CONFIG.read_text())


def exit_code(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code


def line_of(file, raw):
    return f"{file}: valid; tables {', '.join(raw['tables'])}, recipes {', '.join(raw['recipes'])}\n"


def test_a_valid_file_is_told_with_its_tables_and_recipes(capsys, raw):
    main(["check", str(CONFIG)])
    assert capsys.readouterr() == (line_of(CONFIG, raw), "")


def test_old_names_are_noted_and_rewritten(capsys, tmp_path, raw):
    file = tmp_path / "old.yaml"
    file.write_text(CONFIG.read_text().replace("version: 2", "version: 1").replace("{negatives:", "{take:"))
    line = 1 + next(i for i, text in enumerate(file.read_text().splitlines()) if "{take:" in text)
    place = "recipes.oal-random-outliers.outliers.take"
    main(["check", str(file)])
    assert capsys.readouterr().out == (
        f"{file}, line {line}: {place}: `take` is now `negatives`\n"
        f"{file}: `synthood check --upgrade {file}` writes the new names\n{line_of(file, raw)}"
    )
    main(["check", "--upgrade", str(file)])
    assert file.read_text() == CONFIG.read_text()
    *_, edit, rewritten, valid = capsys.readouterr().out.splitlines(keepends=True)
    assert edit == f"{file}, line {line}: {place}: take -> negatives\n"
    assert (rewritten, valid) == (f"{file}: rewritten to version 2\n", line_of(file, raw))
    main(["check", "--upgrade", str(file)])
    assert capsys.readouterr().out == f"{file}: is of version 2\n{line_of(file, raw)}"


def test_migrate_without_records_is_an_error(capsys, tmp_path):
    assert exit_code("migrate", str(tmp_path)) == 1
    assert f"error: {tmp_path}: no results of Snakemake" in capsys.readouterr().err


def test_without_a_file_the_one_of_this_folder_is_checked(capsys, monkeypatch, raw):
    monkeypatch.chdir(CONFIG.parent)
    main(["check"])
    assert capsys.readouterr().out == line_of("config.yaml", raw)


def test_mistakes_end_in_exit_code_1_and_one_error(capsys, tmp_path, raw):
    raw["recipes"]["judge"]["epoch"] = 3
    raw["detectors"]["knn"]["k"] = 1.5
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(raw))
    assert exit_code("check", str(CONFIG), str(file)) == 1
    out, err = capsys.readouterr()
    assert out == line_of(CONFIG, raw)
    first, second = err.splitlines()
    assert first.startswith(f"error: {file}: recipes.judge.epoch: unknown key; did you mean 'epochs'?")
    assert second.startswith(f"{file}: detectors.knn.k: input should be a valid integer, got 1.5")


def test_a_missing_file_is_an_error(capsys, tmp_path):
    assert exit_code("check", str(tmp_path / "none.yaml")) == 1
    error = f"error: {tmp_path / 'none.yaml'}: cannot be read (No such file or directory)\n"
    assert capsys.readouterr() == ("", error)


def test_the_schema_is_printed(capsys):
    main(["schema"])
    out, err = capsys.readouterr()
    assert (out, err) == (json_schema(), "")
    assert json.loads(out)["title"] == "Config"


def test_the_key_reference_is_printed(capsys):
    main(["schema", "--markdown"])
    assert capsys.readouterr() == (markdown(), "")


def test_a_key_is_explained(capsys):
    main(["explain", "recipes.sio.synthetic.alpha"])
    assert capsys.readouterr().out.startswith(
        "recipes.NAME.synthetic.alpha (kind: train)\n  type     number > 0, ≤ 1\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explain", "recipes.synthetic.alhpa"), "recipes.synthetic.alhpa: no such key; the nearest are "),
        (("list", "detector"), "'detector' cannot be listed; did you mean 'detectors'? (known: "),
        (("show", "recipes", "ce"), "'recipes' cannot be shown; did you mean 'recipe'? (known: "),
        (("show", "recipe", "cee", str(CONFIG)), f"{CONFIG}: recipes: no recipe is named 'cee'; did you mean 'ce'?"),
    ],
)
def test_unknown_names_end_in_the_nearest_ones(capsys, arguments, message):
    assert exit_code(*arguments) == 1
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_an_entry_is_shown_with_its_defaults(capsys):
    main(["show", "detector", "knn", str(CONFIG)])
    assert capsys.readouterr().out == "detectors:\n  knn: {kind: knn, k: 10}\n"


def test_the_version_is_the_packages(capsys):
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"{synthood.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("chek",), ("schema", "more")])
def test_wrong_usage_ends_in_exit_code_2(capsys, arguments):
    assert exit_code(*arguments) == 2
    assert "usage: synthood" in capsys.readouterr().err


def test_it_runs_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "synthood.cli", "check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: config.yaml: cannot be read (No such file or directory)\n"

"""`synthood run` from a checkout and from an installed wheel."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
import yaml
from PIL import Image

from checkouts import PROJECT
from synthood.deploy.export import PAGE
from synthood.reporting.results import csv_text, percent
from synthood.reporting.statistics import Estimate
from synthood.workflow.run import CARD, _defaults, _results, _summary, workflow_folder
from synthood.workflow.run_log import Run

ROOT = Path(__file__).parents[2]


def started(place, *options, **variables):
    """The command `synthood run` in a folder, with nothing of this checkout but what `variables` name."""
    command = [sys.executable, "-m", "synthood.cli", "run", *map(str, options)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | variables
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300, check=False, env=environment)


def test_a_missing_configuration_is_named(capsys, tmp_path):
    from synthood.cli import main

    with pytest.raises(SystemExit):
        main(["run", str(tmp_path / "no.yaml")])
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/no.yaml: no such file; `synthood run CONFIG` needs a configuration\n"
    )


def test_the_report_alone_is_a_target_of_the_same_run(monkeypatch, tmp_path):
    from synthood import cli
    from synthood.workflow import run

    asked = []
    monkeypatch.setattr(run, "run", lambda config, options: asked.append((config, options)) or 3)
    with pytest.raises(SystemExit) as end:
        cli.main(["report", str(tmp_path / "a.yaml"), "-n", "--cores", "2"])
    assert (asked, end.value.code) == ([(tmp_path / "a.yaml", ["report", "-n", "--cores", "2"])], 3)


def test_options_of_snakemake_take_the_place_of_defaults(tmp_path):
    config = tmp_path / "a.yaml"
    files = ["--logger", "synthood", "--configfile", str(config), "--snakefile", str(workflow_folder() / "Snakefile")]
    assert _defaults(config, ["-n", "tables"]) == (tmp_path, [*files, "--cores", "all", "--directory", str(tmp_path)])
    assert _defaults(config, ["-c4", "--directory=/x"]) == (Path("/x"), files)
    assert _defaults(config, ["--profile", "slurm", "-d", "y"]) == (Path("y"), files)
    assert _defaults(config, ["-j", "3"])[1] == [*files, "--directory", str(tmp_path)]


def test_results_are_the_means_of_the_tables(tmp_path):
    base = {"dataset": "d", "metric": "auroc"}
    rows = [
        base | {"recipe": recipe, "detector": detector, "set": part} | percent(Estimate(mean, 0.0, mean, mean))
        for recipe, detector, part, mean in [
            ("ce", "msp", "near", 0.5), ("ce", "msp", "mnist", 0.1), ("sio", "msp", "near", 0.625),
            ("ce", "knn", "near", 0.75), ("sio", "knn", "near", 1.0),
        ]
    ]  # fmt: skip
    (tmp_path / "t.csv").write_text(csv_text(pd.DataFrame(rows)))
    heading, *lines = _results(tmp_path / "t.csv")
    assert heading == "\nAUROC in %, mean over near sets, d"
    cells = [line.split() for line in lines[0].splitlines()]
    assert cells == [["msp", "knn"], ["ce", "50.0", "75.0"], ["sio", "62.5", "100.0"]]


def test_the_summary_ends_with_the_detector_and_the_command_that_uses_it(tmp_path):
    raw = yaml.safe_load((PROJECT / "tests" / "config.yaml").read_text())
    raw["deploy"] = {"dataset": "digits", "recipes": ["ce"], "detector": "knn", "calibration": "cross"}
    config, place = tmp_path / "a.yaml", tmp_path / "my results"
    config.write_text(yaml.safe_dump(raw))
    ran = Run()
    ran.total = ran.done = 2
    assert list(_summary(config, place, ran, 0, "3 s")) == ["\n2 jobs finished in 3 s"]
    detector = place / "results" / "digits" / "deploy" / "detector"
    detector.mkdir(parents=True)
    shown = list(_summary(config, place, ran, 0, "3 s"))
    assert shown[1:] == [
        f"\ndetector: {detector} (card: {detector / CARD})",
        f"  synthood score '{detector}' IMAGES",
    ]
    assert CARD == PAGE
    page = place / "results" / "report" / "index.html"
    page.parent.mkdir()
    page.touch()
    assert list(_summary(config, place, ran, 0, "3 s"))[1:] == [f"\nreport: {page}", *shown[1:]]
    assert len(list(_summary(config, place, ran, 1, "3 s"))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--nosuch", "tables"], "unrecognized arguments: --nosuch"),
        (["--cores"], "argument --cores/-c: expected one argument"),
        (["--executor", "cloud"], "argument --executor/-e: invalid choice: 'cloud' (choose from "),
    ],
)
def test_a_wrong_option_of_snakemake_is_one_sentence(capsys, options, message):
    from synthood.cli import main

    with pytest.raises(SystemExit) as end:
        main(["run", str(ROOT / "tests/config.yaml"), *options])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (1, "")
    (line,) = printed.err.splitlines()
    assert line.startswith(f"error: {message}")
    assert line.endswith("; `snakemake --help` lists its options")


@pytest.mark.workflow
def test_a_missing_folder_takes_at_most_ten_lines_in_any_folder(tmp_path):
    text = (ROOT / "configs/own-images.yaml").read_text()
    (tmp_path / "own.yaml").write_text(text.replace("data/my-images", "photos"))
    done = started("/", tmp_path / "own.yaml")
    assert done.returncode == 1
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) <= 10
    assert "  photos (datasets.own.id)" in lines
    assert sum("not there" in line for line in lines) == 1


@pytest.mark.workflow
def test_an_installed_wheel_of_the_source_archive_runs_with_the_paths_of_the_configuration(tmp_path):
    """What `python -m build` does: the archive from a clone, the wheel from the archive; then a run from elsewhere."""
    archives, wheels, site, place = (tmp_path / name for name in ("archives", "wheels", "site", "mine"))
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", source], check=True)
    build = f"from setuptools.build_meta import build_sdist as b; b({str(archives)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (archive,) = archives.iterdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheel = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, archive]
    subprocess.run([*pip, *wheel], check=True, capture_output=True)
    (built,) = wheels.iterdir()
    offline = ["install", "--no-deps", "--no-index", "--find-links", wheels, "--target", site, "synthood"]
    subprocess.run([*pip, *offline], check=True, capture_output=True)
    for name, grey in (("cat", 40), ("dog", 120), ("other", 200)):
        (place / "photos" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (32, 32), (grey + number,) * 3).save(place / "photos" / name / f"{number}.png")
    own = (ROOT / "configs/own-images.yaml").read_text().replace("data/my-images", "photos")
    (place / "own.yaml").write_text(own)
    done = started(tmp_path, place / "own.yaml", "results/own/images/val.safetensors", PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert (place / "results/own/images/val.safetensors").is_file()
    assert not (tmp_path / "results").exists()
    assert "[1/1] prepare val of own" in done.stderr
    assert "1 job finished" in done.stdout
    assert not [name for name in ZipFile(built).namelist() if name.endswith(".jpg")]

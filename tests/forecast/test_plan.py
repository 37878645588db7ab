"""`synthood plan`: every shipped configuration, mistakes, what a run costs after it was foretold."""

import contextlib
import json
import math

import pytest
import yaml

from checkouts import PROJECT
from synthood.cli import main
from synthood.common import forecasts
from synthood.config.load import load_file
from synthood.forecast.forecast import Amount, Basis, device_seconds, forecast
from synthood.forecast.jobs import Job
from synthood.forecast.show import shown

CONFIGS = [PROJECT / "config.yaml", *sorted((PROJECT / "configs").glob("*.yaml"))]


@pytest.mark.workflow
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_has_a_forecast_without_data_and_weights(clean, config):
    examples = clean.place / "examples"
    if not examples.exists():  # a configuration may name code of the user's
        examples.symlink_to(PROJECT / "examples")
    jobs = [Job(**one) for one in clean.jobs(config)]
    with contextlib.chdir(clean.place):
        found = forecast(load_file(config), jobs, Basis(seconds=0))
    assert len(found.costs) == len(jobs) == len(found.left) > 10
    for cost in found.costs:
        assert 0.05 < cost.seconds < 1e8, cost
        assert math.isfinite(cost.seconds + cost.disk + cost.memory)
        assert 100 < cost.memory < 64_000
        assert bool(cost.gpu) == cost.job.on_gpu
    total, gpu = Amount.of(cost.cpu for cost in found.costs), device_seconds(found.costs)
    assert 0 < total.error < total.seconds
    assert gpu.seconds < total.seconds or total.seconds < 3600  # of short jobs a GPU's start takes longest
    text = shown(config.name, found)
    assert "left in total" in text
    assert all(rule in text for rule in {job.rule for job in jobs})


def failing(capsys, *options):
    with pytest.raises(SystemExit) as ended:
        main(["plan", *map(str, options)])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_mistakes_end_in_one_sentence(tmp_path, capsys, edited):
    config = tmp_path / "config.yaml"
    assert "no such file; `synthood plan --configfile CONFIG`" in failing(capsys, "--configfile", config)
    config.write_text((PROJECT / "config.yaml").read_text())
    given = ("--configfile", config)
    assert "no such folder; make it" in failing(capsys, *given, "-d", tmp_path / "none")
    assert "--seconds -1: give 0" in failing(capsys, *given, "--seconds", "-1")
    assert "--gpu-tflops 0: give a number above 0" in failing(capsys, *given, "--gpu-tflops", "0")
    config.write_text(yaml.safe_dump(edited({"recipes/ce/network/name": "resnet7"})))
    assert "resnet7" in failing(capsys, *given)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.workflow
def test_what_snakemake_refuses_is_told_in_one_sentence(tmp_path, capsys):
    (tmp_path / "results").write_text("")
    given = ("--configfile", PROJECT / "tests/config.yaml", "--seconds", "0", "-d", tmp_path)
    assert "a file stands where the folder of results should be" in failing(capsys, *given)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


@pytest.mark.workflow
def test_a_plan_leaves_nothing_but_its_figures(tmp_path, capsys):
    main(["plan", "--configfile", str(PROJECT / "tests/config.yaml"), "-d", str(tmp_path), "--seconds", "0"])
    told = capsys.readouterr().out
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "results",
        "results/forecast.json",
    ]
    assert told.endswith(f"kept for the report page: {tmp_path / 'results/forecast.json'}\n")
    jobs = forecasts.read(tmp_path / "results")
    assert "results/digits/models/ce/seed0/model.safetensors" in jobs
    assert min(one.cpu for one in jobs.values()) > 0


@pytest.mark.workflow
def test_what_is_up_to_date_costs_nothing(finished, tmp_path, capsys, stages):
    there = finished.copied(tmp_path / "copy").place
    main(["plan", "--configfile", str(there / "config.yaml"), "-d", str(there), "--seconds", "0"])
    told = capsys.readouterr().out
    assert "jobs are up to date" in told
    assert "kept for the report page" not in told
    (there / "results/tables/small.md").unlink()
    main(["plan", "--configfile", str(there / "config.yaml"), "-d", str(there), "--seconds", "0"])
    rows = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert rows["tabulate"][2] == "1"
    assert rows["train"][2] == "0"
    kept = json.loads((there / "results" / forecasts.FILE).read_text())["jobs"]
    assert "results/tables/small.csv" in kept
    assert not any("models" in name for name in kept)

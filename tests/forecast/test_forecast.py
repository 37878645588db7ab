"""The cost of jobs: sums with errors, time on some cores, what records change."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from checkouts import PROJECT
from forecasts_of import cost, job
from synthood.common.artefact import provenance_path
from synthood.config.load import load_file
from synthood.forecast.flops import of_network
from synthood.forecast.forecast import GPU_START, Amount, Basis, device_seconds, forecast, wall_seconds


def test_errors_of_one_source_add_up_those_of_others_do_not():
    found = Amount.of([{"step": (100.0, 0.1)}, {"step": (200.0, 0.1), "start": (40.0, 1.0)}])
    assert found.seconds == 340
    assert found.error == pytest.approx(math.hypot(30, 40))


@pytest.mark.parametrize(
    ("cores", "seconds"),
    [(1, 14), (2, 8), (3, 8)],  # the way a, c, d is 8 s long
)
def test_time_on_some_cores(cores, seconds):
    costs = [cost("a", 1), cost("b", 6), cost("c", 5, ["a"]), cost("d", 2, ["c", "b", "raw"])]
    assert wall_seconds(costs, cores, gpus=0) == seconds


def test_one_gpu_holds_one_job():
    costs = [cost("a", 100, gpu=5), cost("b", 100, gpu=5), cost("c", 7)]
    assert wall_seconds(costs, 4, gpus=1) == 10
    assert wall_seconds(costs, 4, gpus=2) == 7
    assert wall_seconds(costs, 4, gpus=0) == 100
    assert wall_seconds([], 4, gpus=0) == 0


@pytest.fixture(scope="module")
def small():
    """Three trainings of the demo."""
    run = "results/digits/models/ce/seed{}/model.safetensors"
    flags = "--train results/digits/images/train.safetensors --val results/digits/images/val.safetensors"
    made = [job("train", [run.format(seed)], on_gpu=True) for seed in range(3)]
    return [replace(one, wildcards={"dataset": "digits", "recipe": "ce"}, flags=flags) for one in made]


def recorded(job, **facts):
    path = provenance_path(Path(job.name))
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"sha256": "0", "settings": job.settings, **facts}))


def test_records_of_a_job_and_of_its_stage(tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    config = load_file(PROJECT / "config.yaml")
    plain = forecast(config, small, Basis(0))
    each = [one.seconds for one in plain.costs]
    assert each[0] == each[1] == each[2] > 0
    recorded(small[0], cpu_seconds=2 * each[0], peak_memory_mib=1234)
    recorded(small[1], cpu_seconds=each[1] / 2)
    found = forecast(config, small, Basis(0))
    assert [one.source for one in found.costs] == ["record", "record", "records"]
    assert [one.seconds for one in found.costs] == pytest.approx([2 * each[0], each[1] / 2, each[2]])  # by the mean
    assert found.costs[0].memory == 1234
    assert found.factors["train"].jobs == 2


def test_a_gpu_s_rate_is_given(tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    config = load_file(PROJECT / "config.yaml")
    slow, fast = (device_seconds(forecast(config, small, Basis(0, tflops)).costs).seconds for tflops in (1e-3, 1e-2))
    starts = 3 * GPU_START
    assert slow - starts == pytest.approx(10 * (fast - starts))
    # 80 steps of 60 and 10 times 120 images: three passes for a gradient
    steps, checks = 80 * 60 * 3, 10 * 120
    one = of_network(config.recipes["ce"].network, 6, 32).flops
    assert slow - starts == pytest.approx(3 * (steps + checks) * one / 1e9)

"""Costs of stages from provenance as stages write it."""

import json
from pathlib import Path
from typing import Any

import pytest

from synthood.common.forecasts import Foretold, write
from synthood.reporting.page.times import Cost, costs, duration, processors


def written(results: Path, name: str, stage: str, seconds: float, job: str = "", **more: Any) -> None:
    path = results / f"{name}.provenance.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"stage": stage, "fingerprint": job or name, "seconds": seconds, **more}))


def test_sums_of_the_jobs_that_the_page_is_about(tmp_path: Path) -> None:
    more = {"cpu_seconds": 50, "peak_memory_mib": 1000}
    written(tmp_path, "digits/models/ce/seed0/model.safetensors", "train", 60, "one", **more)
    written(tmp_path, "digits/models/ce/seed0/history.csv", "train", 61, "one", **more)  # of the same job
    written(tmp_path, "digits/models/ce/seed1/history.csv", "train", 90, cpu_seconds=80, peak_memory_mib=1500)
    written(tmp_path, "digits/models/other/seed0/history.csv", "train", 1000)  # of another configuration
    written(tmp_path, "cifar10/models/ce/seed0/history.csv", "train", 1000)
    written(tmp_path, "digits/generators/oal", "fit_generator", 5)  # of an older version
    written(tmp_path, "digits/generators/gone", "fit_generator", 5)
    written(tmp_path, "digits/images/test.safetensors", "prepare", 1)
    written(tmp_path, "digits/overlaps.csv", "overlaps", 2)
    written(tmp_path, "tables/toy.csv", "tabulate", 3, "two")
    written(tmp_path, "tables/toy-gains.csv", "tabulate", 3, "two")
    written(tmp_path, "tables/toy-2.csv", "tabulate", 300)
    written(tmp_path, "figures/toy/roc.svg", "plot", 4)
    (tmp_path / "digits/broken.provenance.json").write_text("{")
    (tmp_path / "digits/list.provenance.json").write_text("[]")
    assert costs(tmp_path, ["digits"], ["toy"], ["ce", "oal"]) == [
        Cost("train", jobs=2, seconds=151, longest=90, cpu=130, memory=1500),
        Cost("fit_generator", jobs=1, seconds=5, longest=5),
        Cost("plot", jobs=1, seconds=4, longest=4),
        Cost("tabulate", jobs=1, seconds=3, longest=3),
        Cost("overlaps", jobs=1, seconds=2, longest=2),
        Cost("prepare", jobs=1, seconds=1, longest=1),
    ]


def test_what_was_foretold_is_compared_with_what_its_jobs_took(tmp_path: Path) -> None:
    """Of the jobs that were foretold alone, each once, by any of its outputs."""
    for seed, cpu in ((0, 50), (1, 70), (2, 900)):
        more = {"cpu_seconds": cpu, "job": f"job {seed}"}
        written(tmp_path, f"digits/models/ce/seed{seed}/model.safetensors", "train", 60, **more)
        written(tmp_path, f"digits/models/ce/seed{seed}/history.csv", "train", 61, **more)
    written(tmp_path, "digits/overlaps.csv", "overlaps", 2)
    told = {f"results/digits/models/ce/seed{seed}/model.safetensors": Foretold(50, 5) for seed in (0, 1)}
    write(tmp_path, told)
    train, overlaps = costs(tmp_path, ["digits"], [], ["ce"])
    assert (train.foretold, train.error, train.taken, train.cpu) == (100, 10, 120, 1020)
    assert train.compared() == "1.7 min ± 10.0 s; took +20%"
    assert overlaps.compared() == ""


def test_names_of_tables_may_have_dots(tmp_path: Path) -> None:
    """Table `v1` is not table `v1.5`."""
    for name, seconds in (("v1", 1), ("v1.5", 20)):
        written(tmp_path, f"tables/{name}.csv", "tabulate", seconds)
        written(tmp_path, f"figures/{name}/roc.svg", "plot", 10 * seconds)
    for name, seconds in (("v1", 1), ("v1.5", 20)):
        assert [one.seconds for one in costs(tmp_path, [], [name], [])] == [10 * seconds, seconds]


def test_jobs_by_the_instructions_that_they_computed_with(tmp_path: Path) -> None:
    for seed, (job, name) in enumerate([("a", "x86_64 AVX2"), ("b", "x86_64 AVX512"), ("b", "x86_64 AVX512")]):
        written(tmp_path, f"digits/models/ce/seed{seed}/history.csv", "train", 1, job, processor=name)
    written(tmp_path, "digits/models/ce/seed3/history.csv", "train", 1, "c", processor="x86_64 AVX512")
    written(tmp_path, "digits/models/ce/seed4/history.csv", "train", 1)  # of an older version
    written(tmp_path, "digits/models/other/seed0/history.csv", "train", 1, processor="aarch64 DEFAULT")
    assert processors(tmp_path, ["digits"], ["toy"], ["ce"]) == {"x86_64 AVX512": 2, "x86_64 AVX2": 1}


def test_no_results(tmp_path: Path) -> None:
    assert costs(tmp_path / "none", ["digits"], ["toy"], ["ce"]) == []


@pytest.mark.parametrize(("seconds", "text"), [(4.25, "4.2 s"), (90, "1.5 min"), (5400, "1.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text

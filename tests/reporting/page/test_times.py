"""Costs of stages from benchmark files as Snakemake writes them."""

from pathlib import Path

import pytest

from synthood.reporting.page.times import Cost, costs, duration

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def written(folder: Path, name: str, seconds: float, memory: str, cpu: float) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:01\t{memory}\t1\t1\t1\t0\t0\t90\t{cpu}\n")


def test_sums_of_the_jobs_that_the_page_is_about(tmp_path: Path) -> None:
    written(tmp_path, "train/digits/ce/seed0.tsv", 60, "1000", 50)
    written(tmp_path, "train/digits/ce/seed1.tsv", 90, "1500", 80)
    written(tmp_path, "train/digits/other/seed0.tsv", 1000, "1", 1)  # of another configuration
    written(tmp_path, "train/cifar10/ce/seed0.tsv", 1000, "1", 1)
    written(tmp_path, "embed/digits/oal.tsv", 0.5, "-", 0.25)  # too short to be measured
    (tmp_path / "embed/digits/oal").mkdir()
    (tmp_path / "embed/digits/oal/broken.tsv").write_bytes(b"\xff")
    assert costs(tmp_path, ["digits"], ["ce", "oal"]) == [
        Cost("train", jobs=2, seconds=150, longest=90, cpu=130, memory=1500),
        Cost("embed", jobs=1, seconds=0.5, longest=0.5, cpu=0.25, memory=0),
    ]


def test_no_benchmarks(tmp_path: Path) -> None:
    assert costs(tmp_path / "none", ["digits"], ["ce"]) == []


@pytest.mark.parametrize(("seconds", "text"), [(4.25, "4.2 s"), (90, "1.5 min"), (5400, "1.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text

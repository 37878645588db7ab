"""Costs of stages from the provenance of their jobs' outputs."""

import json
from pathlib import Path
from typing import Any

import pytest

from synthood.reporting.page.times import Cost, costs, duration


def written(folder: Path, name: str, stage: str, job: str, **facts: Any) -> None:
    path = folder / f"{name}.provenance.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"stage": stage, "fingerprint": job, **facts}))


def test_sums_of_the_jobs_that_the_page_is_about(tmp_path: Path) -> None:
    short = {"seconds": 60, "cpu_seconds": 50, "peak_memory_mib": 1000}
    long = {"seconds": 90, "cpu_seconds": 80, "peak_memory_mib": 1500}
    written(tmp_path, "digits/models/ce/seed0/model.safetensors", "train", "a", **short)
    written(tmp_path, "digits/models/ce/seed0/history.csv", "train", "a", **short)  # the same job's
    written(tmp_path, "digits/models/ce/seed1/model.safetensors", "train", "b", **long)
    written(tmp_path, "digits/models/other/seed0/model.safetensors", "train", "c", **long)  # of another configuration
    written(tmp_path, "cifar10/models/ce/seed0/model.safetensors", "train", "d", **long)
    written(tmp_path, "digits/generators/gan", "fit_generator", "e", **long)
    written(tmp_path, "digits/generators/gan/old", "fit_generator", "f", seconds=9)  # of an earlier version
    (tmp_path / "digits/generators/gan/broken.provenance.json").write_bytes(b"\xff")
    assert costs(tmp_path, ["digits"], ["ce", "gan"]) == [
        Cost("train", jobs=2, seconds=150, longest=90, cpu=130, memory=1500),
        Cost("fit_generator", jobs=1, seconds=90, longest=90, cpu=80, memory=1500),
    ]


def test_no_results(tmp_path: Path) -> None:
    assert costs(tmp_path / "none", ["digits"], ["ce"]) == []


@pytest.mark.parametrize(("seconds", "text"), [(4.25, "4.2 s"), (90, "1.5 min"), (5400, "1.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text

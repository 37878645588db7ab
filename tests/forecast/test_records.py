"""What earlier runs took."""

import json
import math

import pytest

from forecasts_of import job
from synthood.forecast.records import OF_ONE, OF_THE_SAME, Factor, Record, factors, records


def test_a_job_took_what_its_last_output_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, cpu in (("a", 3.0), ("b", 4.5)):
        facts = {"sha256": "0", "cpu_seconds": cpu, "seconds": 9, "peak_memory_mib": 700, "settings": "{}"}
        (tmp_path / f"{name}.provenance.json").write_text(json.dumps(facts | {"device": "cuda:0"}))
    (tmp_path / "c.provenance.json").write_text("{")
    jobs = [job("train", ["a", "b"]), job("train", ["c"]), job("train", ["d"])]
    assert records(jobs) == {"a": Record(4.5, 9, 700, on_gpu=True, settings="{}")}


def test_the_share_of_what_was_estimated():
    found = factors([("train", 2, 1), ("train", 8, 1), ("score", 3, 2), ("plot", 0, 1), ("plot", 1, 0)])
    assert found.keys() == {"train", "score"}
    spread = math.log(2) * math.sqrt(2)  # of log 2 and log 8
    assert found["train"] == Factor(pytest.approx(4), pytest.approx(spread / math.sqrt(2)), 2)
    assert found["score"] == Factor(pytest.approx(1.5), OF_ONE, 1)
    assert factors([("train", 2, 1)] * 9)["train"].error == OF_THE_SAME

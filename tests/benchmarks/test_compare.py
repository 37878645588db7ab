"""Benchmarks judge only what they are sure of: intervals, verdicts, a busy machine, a slow hot path."""

import importlib
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Files of benchmarks/, imported as when they are run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (BENCHMARKS / f"{name}.py").is_file():
            del sys.modules[name]


@pytest.mark.parametrize(
    ("low", "high", "bar", "others", "verdict"),
    [
        (2.0, 3.0, 2.0, 0.0, "met"),
        (1.9, 3.0, 2.0, 0.0, "undecided"),
        (1.0, 2.0, 2.0, 0.0, "undecided"),
        (1.0, 1.9, 2.0, 0.2, "not met"),
        (2.0, 3.0, 2.0, 0.3, "undecided"),
        (1.0, 1.9, 2.0, 0.3, "undecided"),
        (math.nan, math.nan, 2.0, 0.0, "undecided"),
        (1.0, 1.9, None, 0.3, ""),
    ],
)
def test_a_bar_is_judged_where_the_interval_lies_on_one_side(modules, low, high, bar, others, verdict):
    row = modules("compare").Measurement("work", low=low, high=high, bar=bar, others=others)
    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("turns", "ranks"), [(1, None), (2, None), (3, (1, 3)), (6, (1, 6)), (9, (2, 8)), (15, (4, 12)), (100, (40, 61))]
)
def test_the_interval_of_the_median_has_the_binomial_order_statistics(modules, turns, ranks):
    """P(X < 40) is 0.018 of 100 fair coins, 0.028 with 40: tables of the sign test."""
    ratios = np.random.default_rng(0).permutation(np.arange(1.0, turns + 1))
    assert modules("compare").interval(ratios) == (ranks or (0.0, math.inf))


def test_turns_begin_with_either_and_their_ratio_is_the_median(modules, monkeypatch):
    """Ours takes 2 s, the peer 2, 4, 6, ... s of a clock that only they move."""
    compare, now, order, peers = modules("compare"), [0.0], [], count(2, 2)
    monkeypatch.setattr(compare, "processor", lambda: (0.0, 0.0))

    def work(name, seconds):
        now[0] += seconds
        order.append(name)

    found = compare.paired(lambda: work("ours", 2.0), lambda: work("peer", next(peers)), 3, 9.0, lambda: now[0])
    assert order == ["ours", "peer", "ours", "peer", "peer", "ours", "ours", "peer"]
    row = compare.judged("work", found, "peer", bar=1.5)
    assert (row.ours, row.theirs, row.ratio, row.low, row.high, row.turns) == (2.0, 6.0, 3.0, 2.0, 4.0, 3)
    assert row.verdict == "met"


@pytest.mark.parametrize(("taken", "turns"), [(0.0, 4), (0.5, 12)])
def test_a_loaded_machine_is_told_and_measured_longer(modules, monkeypatch, taken, turns):
    compare = modules("compare")
    monkeypatch.setattr(compare.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(compare, "processor", lambda: (4 * taken * time.perf_counter(), 0.0))
    row = compare.measured("work", lambda: None, "peer", lambda: None, 4, 60.0)
    assert row.turns == turns
    assert row.others == pytest.approx(taken, abs=0.1)
    assert ("(loaded)" in row.row()) == (taken > 0)


def test_what_descendants_compute_is_not_others(modules):
    machine = modules("machine")
    busy, own = machine.processor()
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
    busy_then, own_then = machine.processor()
    assert 0.02 < own_then - own <= busy_then - busy + 0.05


def test_a_peer_that_is_missing_has_a_row_and_meets_no_bar(modules):
    row = modules("compare").measured("work", lambda: None, "faiss", None, 3, 1.0, bar=1.0)
    assert "faiss is not installed: pip install 'synthood[bench]'" in row.row()
    assert modules("bench").conclusion([row.verdict, "met"]) == 3


def test_a_sleep_in_a_hot_path_fails_the_check(modules, monkeypatch, tmp_path):
    """OpenMax takes a small part of pytorch-ood's time, until its fit sleeps twice as long as that."""
    scores, bench = modules("scores"), modules("bench")
    monkeypatch.setattr(modules("compare"), "processor", lambda: (0.0, 0.0))
    monkeypatch.setattr(scores, "limit", lambda *_: math.nan)
    monkeypatch.setattr(scores, "operations", lambda _: 0)
    every = scores.oracles
    monkeypatch.setattr(scores, "oracles", lambda reference: {"openmax": every(reference)["openmax"]})
    reference, _, test = scores.data(400, 100, 32, 4)
    given = bench.options(None).parse_args(["--check", "--threads=1", f"--json={tmp_path / 'rows'}"])

    def check() -> int:
        return bench.run("scores", lambda _: scores.against(reference, test, 3, 0.0), given)

    assert check() == 0
    row = bench.read(tmp_path / "rows")[0]
    assert (row.stage, row.what, row.verdict, row.turns) == ("scores", "openmax", "met", 3)
    kind = scores.KINDS["openmax"]

    def slow(self, *arguments, own=kind.state):
        time.sleep(2 * row.theirs)
        return own(self, *arguments)

    monkeypatch.setattr(kind, "state", slow)
    assert check() == 1


def test_the_page_has_every_row_and_how_far_it_is_from_the_run_before(modules, monkeypatch, tmp_path):
    bench, compare = modules("bench"), modules("compare")
    monkeypatch.setattr(bench, "matmul_rate", lambda *_: 1e11)
    monkeypatch.setattr(bench, "copy_rate", lambda: 2e10)
    rows = [
        compare.Measurement("one", 1.0, "peer", 2.0, ratio, ratio - 0.1, ratio + 0.1, 5, bar, stage="data")
        for ratio, bar in ((2.0, 1.0), (0.5, 1.0))
    ]
    other = compare.Measurement("two", 1.0, "peer", 2.0, 2.0, 1.9, 2.1, 5, stage="scores")
    page = bench.page([rows[0], other], False, "1.0", [rows[1], other])
    assert "| one, s | 1 | peer | 2 | 2 | 1.9 to 2.1 | 5 | 1 |  | 0% | met |" in page.splitlines()
    assert "Bars: 1 met, 0 not met, 0 undecided." in page
    assert "Of 2 ratios of the run before, 1 agree; others: one (2, before 0.5)." in page
    titles = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert titles == [*bench.STAGES.values()]
    assert all((BENCHMARKS / f"{stage}.py").is_file() for stage in bench.STAGES)

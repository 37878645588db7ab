"""Times of operations, measured on work of known length."""

import time

import pytest
import torch

from synthood.errors import SynthoodError
from synthood.forecast.operation import CPU_RATE, CPU_SPREAD, LEAST_ERROR, Operation, Rates, Taken, measure, measured

CPU = torch.device("cpu")


def busy(seconds):
    """Computes for so long."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def work(once, each, calls=None):
    """A trial that takes `once` seconds and `each` for every unit."""

    def trial(device):
        def run(count):
            if calls is not None:
                calls.append(count)
            busy(once + each * count)

        return run

    return trial


def test_what_is_done_once_does_not_count():
    found = measured(Operation("x", 1e6, work(0.05, 0.004), scaled=10), CPU, 0.5)
    assert found.seconds == pytest.approx(0.04, rel=0.05)
    assert found.measured
    assert LEAST_ERROR <= found.error < 0.2


def test_more_time_is_more_units():
    few, many = [], []
    for calls, seconds in ((few, 0.2), (many, 1.0)):
        measured(Operation("x", 1e6, work(0.0, 0.005, calls)), CPU, seconds)
    assert sum(many) > 3 * sum(few)
    assert sum(many) * 0.005 < 1.5


def test_what_cannot_be_tried_is_told_by_its_operations():
    def missing(device):
        raise SynthoodError("weights.pt: no such file")

    for operation in (Operation("x", 4e10), Operation("y", 4e10, missing)):
        rates = measure([(operation, 3)], CPU, 1.0)
        assert rates.known == {}
        assert rates.of(operation) == Taken(4e10 / CPU_RATE, CPU_SPREAD, measured=False)
    assert Rates().of(Operation("z", 0.0, usual=2.5)).seconds == 2.5


def test_what_was_not_measured_computes_as_fast_as_what_was():
    """The rate in the middle, here 1e9 operations in 0.01 s."""
    tried = [Operation(f"x{index}", flops, work(0, 0.01)) for index, flops in enumerate((1e8, 1e9, 1e12))]
    rates = measure([(operation, 1e12 / operation.flops) for operation in tried], CPU, 5.0)
    assert rates.known.keys() == {"x0", "x1", "x2"}
    assert rates.rate == pytest.approx(1e11, rel=0.1)
    assert rates.of(Operation("y", 5e11)).seconds == pytest.approx(5, rel=0.1)


def test_the_costliest_is_measured_first_and_the_time_is_kept():
    calls = {name: [] for name in "abc"}
    wanted = [
        (Operation(name, 1e9, work(0, 0.02, calls[name])), units)
        for name, units in zip("abc", (1, 100, 10), strict=True)
    ]
    threads = torch.get_num_threads()
    before = time.process_time()
    rates = measure(wanted, CPU, 0.7)
    assert time.process_time() - before < 2.5
    assert next(iter(rates.known)) == "b"
    assert sum(calls["b"]) >= sum(calls["c"]) >= sum(calls["a"])
    assert torch.get_num_threads() == threads


def test_nothing_is_measured_in_no_time():
    calls = []
    assert measure([(Operation("x", 1e9, work(0, 0.01, calls)), 1)], CPU, 0).known == {}
    assert calls == []

"""What is known of steps: read late, named exactly, and averaged by epoch."""

import math

import pytest
import torch

from synthood.training.record import Record, epoch_row, losses

CPU = torch.device("cpu")


def add(record: Record, step: int, *values: float, **known: float) -> None:
    names = ("loss", "cross_entropy", "rotation", "accuracy")
    row = {"epoch": 0.0, "learning_rate": 0.1 * step} | known
    record.add(step, row, {name: torch.tensor(value) for name, value in zip(names, values, strict=True)})


def test_an_epoch_by_hand() -> None:
    record = Record(CPU)
    add(record, 0, 4.0, 3.0, 1.0, 0.0)
    add(record, 1, 2.0, 1.5, 0.5, 0.5)
    assert record.read() is None
    assert record.epoch(0.25) == {
        "epoch": 0.0,
        "loss": 3.0,
        "cross_entropy": 2.25,
        "rotation": 0.75,
        "accuracy": 0.25,
        "learning_rate": 0.1,
        "val_accuracy": 0.25,
    }
    assert record.rows == []


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_the_first_step_that_is_not_finite_is_found(wrong: float, bad: int) -> None:
    record = Record(CPU)
    for step in range(3):
        value = wrong if step >= bad else 1.0
        add(record, step, 1 + value, 1.0, value, 0.0)
    found = record.read()
    assert found is not None
    step, row = found
    assert step == bad
    assert row["learning_rate"] == pytest.approx(0.1 * bad)
    assert len(record.rows) == bad  # the steps after it are not kept either
    assert record.waiting == []
    assert next(name for name, value in losses(row).items() if not math.isfinite(value)) == "rotation"


def test_an_accuracy_or_a_rate_is_no_loss() -> None:
    row = {"epoch": 1.0, "learning_rate": 0.1, "accuracy": 0.5, "micro_batches": 2.0, "loss": 1.0, "cross_entropy": 1.0}
    assert losses(row) == {"cross_entropy": 1.0, "loss": 1.0}


def test_a_gpu_is_asked_now_and_then() -> None:
    assert Record(CPU).every == 1
    assert Record(torch.device("cuda")).every > 1


def test_a_state_holds_what_was_read() -> None:
    record, other = Record(CPU), Record(CPU)
    add(record, 0, 4.0, 3.0, 1.0, 0.0)
    assert record.due()
    record.read()
    other.load_state_dict(record.state_dict())
    assert other.rows == record.rows
    assert not other.due()
    record.epoch(0.0)
    assert len(other.rows) == 1


def test_micro_batches_are_told_once_there_are_any() -> None:
    steps = [{"epoch": 0.0, "learning_rate": 0.1, "loss": 1.0, "accuracy": 0.0} for _ in range(3)]
    assert "micro_batches" not in epoch_row(steps)
    steps[1] = steps[1] | {"micro_batches": 4.0}
    steps[2] = steps[2] | {"micro_batches": 2.0}
    assert epoch_row(steps)["micro_batches"] == 4.0

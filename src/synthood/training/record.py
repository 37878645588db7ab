"""The course of training: losses of each step, read from the device a few steps at a time, and a row per epoch."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Row = dict[str, float]
History = list[Row]
READ_EVERY = 16
"""Steps between two readings from a GPU, each of which waits for it."""
NO_LOSSES = ("epoch", "learning_rate", "accuracy", "val_accuracy", "micro_batches")


class Record:
    """Steps of the unfinished epoch: those whose figures still are on the device, and those that were read."""

    def __init__(self, device: torch.device) -> None:
        self.every = READ_EVERY if device.type == "cuda" else 1
        self.rows: History = []
        self.waiting: list[tuple[int, Row, list[str], Tensor]] = []

    def add(self, step: int, row: Row, figures: Mapping[str, Tensor]) -> None:
        """A step with what is known of it and its figures on the device, scalars."""
        values = torch.stack([value.detach().float() for value in figures.values()])
        self.waiting.append((step, row, list(figures), values))

    def due(self) -> bool:
        """Whether it is time to read."""
        return len(self.waiting) >= self.every

    def read(self) -> tuple[int, Row] | None:
        """Brings in what waits; the first step with a loss that is not finite, which stays out with all after it."""
        if not self.waiting:
            return None
        waiting, self.waiting = self.waiting, []
        values = torch.cat([tensor for *_, tensor in waiting]).tolist()
        for step, known, names, _ in waiting:
            found, values = values[: len(names)], values[len(names) :]
            row = known | dict(zip(names, found, strict=True))
            if not all(math.isfinite(value) for value in losses(row).values()):
                return step, row
            self.rows.append(row)
        return None

    def epoch(self, val_accuracy: float) -> Row:
        """The row of the epoch that its steps make, which are forgotten."""
        row = epoch_row(self.rows) | {"val_accuracy": val_accuracy}
        self.rows = []
        return row

    def state_dict(self) -> dict[str, Any]:
        return {"rows": list(self.rows)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows, self.waiting = list(state["rows"]), []


def losses(row: Row) -> Row:
    """A step's losses, their sum last: where it is not finite, one of them is why."""
    terms = {key: value for key, value in row.items() if key not in (*NO_LOSSES, "loss")}
    return terms | {"loss": row["loss"]}


def epoch_row(steps: History) -> Row:
    """Means over an epoch's steps; the last learning rate, and the most micro-batches where there were any."""
    averaged = [key for key in steps[0] if key == "accuracy" or key not in NO_LOSSES]
    means = {key: sum(row[key] for row in steps) / len(steps) for key in averaged}
    parts = [row["micro_batches"] for row in steps if "micro_batches" in row]
    most = {"micro_batches": max(parts)} if parts else {}
    return {"epoch": steps[0]["epoch"], **means, "learning_rate": steps[-1]["learning_rate"], **most}

"""The best candidate of a grid by validation data, and the log of all of them."""

import json
from collections.abc import Iterable, Mapping

import torch

from synthood.errors import SynthoodError
from synthood.evaluation.hyperparameters import Values
from synthood.evaluation.ranking import auroc

COLUMNS = ("detector", "candidate", "auroc", "chosen", "note")


def text_of(values: Values) -> str:
    """A candidate as the log names it."""
    return json.dumps(values, sort_keys=True)


def selected(
    name: str, candidates: Iterable[str], areas: Mapping[str, float], notes: Mapping[str, str]
) -> tuple[str, list[dict[str, object]]]:
    """The candidate of the largest area, the first of equals, and a row of `COLUMNS` for each.

    Raises where no candidate has an area.
    """
    if not areas:
        last = list(notes.values())[-1].removeprefix("left out: ")
        raise SynthoodError(f"detectors.{name}: no value of the grid fits these data; the last: {last}")
    best = max(areas, key=areas.__getitem__)
    rows: list[dict[str, object]] = [
        {
            "detector": name,
            "candidate": text,
            "auroc": areas.get(text),
            "chosen": text == best,
            "note": notes.get(text, ""),
        }
        for text in dict.fromkeys(candidates)
    ]
    return best, rows


def area(inside: torch.Tensor, outside: torch.Tensor, name: str) -> float:
    """AUROC of ID against OOD validation data."""
    if not (inside.isfinite().all() and outside.isfinite().all()):
        raise SynthoodError(f"detector {name} gives a score on validation data that is not finite")
    return auroc(inside.numpy(), outside.numpy())

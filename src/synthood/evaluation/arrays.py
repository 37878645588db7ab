"""Arrays, tensors and lists of a caller as tensors of ours; what cannot be one is an error in one sentence."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthood.errors import SynthoodError, printable


def numbers(values: Any, what: str, copy: bool = False) -> Tensor:
    """Real numbers as float32 or int64 on the CPU, without gradients; shares the caller's memory unless `copy`."""
    if isinstance(values, list | tuple) and values and all(isinstance(one, Tensor) for one in values):
        shapes = {tuple(one.shape) for one in values}
        if len(shapes) > 1:
            raise SynthoodError(f"{what}: rows of different shapes {sorted(map(list, shapes))}")
        values = torch.stack(tuple(values))
    if isinstance(values, Tensor):
        if values.is_complex():
            raise SynthoodError(f"{what}: expected real numbers, got {values.dtype}")
        dense = values.detach().to_dense() if values.layout != torch.strided else values.detach()
        return dense.to("cpu", torch.float32 if values.is_floating_point() else torch.int64, copy=copy)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise SynthoodError(f"{what}: not an array of numbers ({printable(error)})") from error
    if array.dtype.kind not in "fiub":
        example = printable(repr(array.flat[0]), 40) if array.size else "nothing"
        raise SynthoodError(f"{what}: expected numbers, got {array.dtype} such as {example}")
    with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite, and is reported as such
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64, copy=copy)
    # torch reads neither steps backwards nor, without a warning, what must not be written to
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def class_numbers(values: Any, what: str, count: int, copy: bool = False) -> Tensor:
    """Labels int64 [N] of so many samples, -1 where there are none."""
    if values is None:
        return torch.full((count,), -1)
    if is_text(values):
        raise SynthoodError(f"{what}: labels are text; give class numbers, the columns of the logits, from 0 on")
    found = numbers(values, f"{what}: labels", copy)
    if found.shape == (count, 1):
        found = found[:, 0]
    if found.shape != (count,):
        one_hot = "; of one-hot labels take argmax(1)" if found.ndim == 2 and len(found) == count else ""
        raise SynthoodError(f"{what}: expected a label for each of {count} samples, got {list(found.shape)}{one_hot}")
    if found.is_floating_point() and not torch.equal(found, found.trunc()):
        wrong = float(found[found != found.trunc()][0])
        raise SynthoodError(f"{what}: label {wrong:g} is not a class number; give whole numbers from 0 on")
    return found.long()


def is_text(values: Any) -> bool:
    """Whether labels are names."""
    if isinstance(values, Tensor) or not isinstance(values, Iterable):
        return False
    return isinstance(values, str) or isinstance(next(iter(values), None), str | bytes)


def plain(value: Any) -> Any:
    """A hyperparameter as Python's own number, text or list of them."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().tolist()
    elif isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return [plain(one) for one in value] if isinstance(value, list | tuple | range) else value

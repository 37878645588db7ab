"""Features of any torch module: what enters its last linear layer, and what comes out."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from synthood.errors import SynthoodError, nearest, printable
from synthood.evaluation.arrays import class_numbers, numbers

Batch = Any
"""Inputs, (inputs, labels), or a mapping with `INPUTS` and `LABELS`; further items are not looked at."""
INPUTS = ("pixel_values", "image", "images", "img", "inputs", "input", "x", "data")
LABELS = ("label", "labels", "target", "targets", "y")
ROWS = 64
"""Inputs that go through the model at once where they come in one tensor or a Dataset."""


def linear(model: nn.Module, name: str) -> nn.Linear:
    """The model's linear layer of that name, such as "fc" or "classifier.6"."""
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise SynthoodError(f"expected a torch.nn.Module whose layers can be watched, got {type(model).__name__}")
    known = {own.replace("_orig_mod.", ""): x for own, x in model.named_modules() if isinstance(x, nn.Linear)}
    own = str(name).replace("_orig_mod.", "")
    if own not in known:
        raise SynthoodError(f"the model has no linear layer {printable(own)!r}{nearest(own, known)}")
    return known[own]


def head_of(model: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """W [C,D] and b [C] of that layer, zeros where it has no bias."""
    layer = linear(model, name)
    weight = layer.weight.detach().float().cpu()
    return weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().float().cpu()


@torch.no_grad()
def features_of(model: nn.Module, name: str, batches: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [N,C], features [N,D] and labels [N], -1 where batches have none, float32 and int64 on the CPU.

    `name` is the layer that makes the logits. `batches` is a DataLoader, any iterable of batches, a Dataset, or all
    inputs in one tensor, alone or with their labels. One forward pass in evaluation mode on the model's device and in
    its precision, without torch.compile; the model is left as it was. Raises where that layer does not see one row per
    input, once, and where the model draws random numbers.
    """
    linear(model, name)  # raises before any pass
    device = next(chain(model.parameters(), model.buffers())).device
    dtype = next((each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32)
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    with borrowed(model):
        for number, (inputs, labels) in enumerate(pairs(batches)):
            where = f"batch {number}"
            given = inputs.to(device, dtype if inputs.is_floating_point() else None)
            # Copies, since what comes after the layer may work in place
            features, logits = seen_by(model, name, given, where, copied)
            rows.append((logits, features, class_numbers(labels, where, len(inputs), copy=True)))
    if not rows:
        raise SynthoodError("no batches to extract features from; an iterator that was used up gives none")
    logits, features, labels = (torch.cat(values) for values in zip(*rows, strict=True))
    return logits, features, labels


def copied(values: Tensor) -> Tensor:
    return values.detach().to("cpu", torch.float32, copy=True)


def seen_by(
    model: nn.Module, name: str, inputs: Tensor, where: str, keep: Callable[[Tensor], Tensor] = lambda x: x
) -> tuple[Tensor, Tensor]:
    """What a layer is given and what it makes in a forward pass; raises where that is not one row per input, once."""
    seen: list[tuple[Tensor, Tensor]] = []

    def watch(_: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor], made: Tensor) -> None:
        seen.append((keep(given[0] if given else named["input"]), keep(made)))

    hook = linear(model, name).register_forward_hook(watch, with_kwargs=True)
    try:
        run(model, inputs, where)
    finally:
        hook.remove()
    if len(seen) != 1 or seen[0][0].ndim != 2 or len(seen[0][0]) != len(inputs):
        found = ", ".join(str(list(features.shape)) for features, _ in seen) or "nothing"
        raise SynthoodError(
            f"the layer {name!r} is given {found} for {len(inputs)} inputs; "
            f"name the one that makes the logits from one row of features per input"
        )
    return seen[0]


@contextmanager
def borrowed(model: nn.Module) -> Iterator[None]:
    """In evaluation mode and without gradients in its weights, and then as it was."""
    modes = [(module, module.training) for module in model.modules()]
    weights = [(weight, weight.requires_grad) for weight in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for weight, wanted in weights:
            weight.requires_grad_(wanted)


def run(model: nn.Module, inputs: Tensor, name: str) -> None:
    """A forward pass by the layers themselves, since compiled ones do not call hooks."""

    def states() -> list[Tensor]:
        own = [torch.get_rng_state()]
        return [*own, torch.cuda.get_rng_state(inputs.device)] if inputs.is_cuda else own

    before = states()
    compiled = "torch._dynamo" in sys.modules  # which takes seconds to import, and is where anything is compiled
    try:
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            getattr(model, "_orig_mod", model)(inputs)
    except Exception as error:  # whatever a caller's model raises
        what = f"{inputs.dtype} {list(inputs.shape)}"
        raise SynthoodError(
            f"the model fails on {name}, {what}: {type(error).__name__}: {printable(error, 300)}"
        ) from error
    if not all(map(torch.equal, states(), before)):
        raise SynthoodError(
            "the model draws random numbers in evaluation mode, so its features differ each time; "
            "let its dropout follow self.training"
        )


def pairs(batches: Any) -> Iterator[tuple[Tensor, Any]]:
    """Inputs [n,...], at least one, and labels of each batch, None where it has none."""
    if isinstance(batches, Tensor | np.ndarray | Mapping) or is_pair(batches):
        inputs, labels = taken(batches)
        for start in range(0, len(inputs), ROWS):
            yield inputs[start : start + ROWS], None if labels is None else labels[start : start + ROWS]
        return
    if isinstance(batches, Dataset) and not isinstance(batches, DataLoader):
        batches = DataLoader(batches, batch_size=ROWS)
    if isinstance(batches, str) or not isinstance(batches, Iterable):
        raise SynthoodError(f"expected batches of inputs, such as a DataLoader, got {type(batches).__name__}")
    for batch in batches:
        inputs, labels = taken(batch)
        if len(inputs):
            yield inputs, labels


def is_pair(batches: Any) -> bool:
    """Whether these are all inputs and their labels, and not two batches."""
    if not isinstance(batches, list | tuple) or len(batches) != 2:
        return False
    inputs, labels = batches
    arrays = Tensor | np.ndarray
    flat = labels.ndim == 1 if isinstance(labels, arrays) else isinstance(labels, list | tuple)
    return isinstance(inputs, arrays) and inputs.ndim > 1 and flat and len(labels) == len(inputs)


def taken(batch: Batch) -> tuple[Tensor, Any]:
    """Inputs and labels of a batch."""
    if isinstance(batch, Mapping):
        inputs, labels = (next((batch[key] for key in keys if key in batch), None) for keys in (INPUTS, LABELS))
        if inputs is None:
            keys = printable(", ".join(map(str, batch)))
            raise SynthoodError(f"a batch has the keys {keys}; expected its inputs as one of {', '.join(INPUTS)}")
    elif isinstance(batch, list | tuple) and batch:
        inputs, labels = batch[0], batch[1] if len(batch) > 1 else None
    else:
        inputs, labels = batch, None
    if isinstance(inputs, Tensor) and inputs.ndim:
        return inputs, labels
    if isinstance(inputs, np.ndarray) and inputs.ndim:
        return (torch.from_numpy(inputs.copy()) if inputs.dtype == np.uint8 else numbers(inputs, "inputs")), labels
    raise SynthoodError(f"expected a batch of inputs as a tensor [N,...], got {type(inputs).__name__}")

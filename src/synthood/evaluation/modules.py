"""Features of any torch module: what enters its last linear layer, and what comes out."""

from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from synthood.errors import SynthoodError, nearest

Batch = Tensor | Sequence[Tensor]
"""Inputs, or inputs and labels, as a DataLoader gives them."""


def linear(model: nn.Module, name: str) -> nn.Linear:
    """The model's linear layer of that name, such as "fc" or "classifier.6"."""
    known = {own: layer for own, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    if name not in known:
        raise SynthoodError(f"the model has no linear layer {name!r}{nearest(name, known)}")
    return known[name]


def head_of(model: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """W [C,D] and b [C] of that layer, zeros where it has no bias."""
    layer = linear(model, name)
    weight = layer.weight.detach().float().cpu()
    return weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().float().cpu()


@torch.no_grad()
def features_of(model: nn.Module, name: str, batches: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [N,C], features [N,D] and labels [N], -1 where batches have none, on the CPU.

    `name` is the layer that makes the logits. One forward pass in evaluation mode on the model's device; the model is
    left as it was. Raises where that layer does not see one row per input, once.
    """
    layer, seen = linear(model, name), list[tuple[Tensor, Tensor]]()
    device = next(chain(model.parameters(), model.buffers())).device
    modes = [(module, module.training) for module in model.modules()]
    hook = layer.register_forward_hook(lambda _, given, made: seen.append((given[0], made)))
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    try:
        model.eval()
        for batch in batches:
            inputs, labels = (batch, None) if isinstance(batch, Tensor) else (batch[0], batch[1])
            seen.clear()
            model(inputs.to(device))
            if len(seen) != 1 or seen[0][0].ndim != 2 or len(seen[0][0]) != len(inputs):
                found = ", ".join(str(list(features.shape)) for features, _ in seen) or "nothing"
                raise SynthoodError(
                    f"the layer {name!r} is given {found} for {len(inputs)} inputs; "
                    f"name the one that makes the logits from one row of features per input"
                )
            features, logits = (values.float().cpu() for values in seen[0])
            rows.append((logits, features, torch.full((len(inputs),), -1) if labels is None else labels.long().cpu()))
    finally:
        hook.remove()
        for module, training in modes:
            module.training = training
    if not rows:
        raise SynthoodError("no batches to extract features from")
    logits, features, labels = (torch.cat(values) for values in zip(*rows, strict=True))
    return logits, features, labels

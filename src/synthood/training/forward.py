"""One pass of the network over a batch and what its terms want to see beside it."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from synthood.common.arithmetic import autocast
from synthood.training.heads import Companions, Term
from synthood.training.image_network import ImageNetwork
from synthood.training.normalisation import training_logits
from synthood.training.settings import RecipeSettings


def companions(terms: nn.ModuleDict, inputs: Tensor, labels: Tensor, random: torch.Generator) -> dict[str, Companions]:
    """What the terms want to see go through the network beside the inputs, by name."""
    asked = {n: t.companions(inputs, labels, random) for n, t in terms.items() if isinstance(t, Term)}
    return {name: found for name, found in asked.items() if found is not None}


def forward(
    network: ImageNetwork,
    inputs: Tensor,
    beside: Mapping[str, Companions],
    recipe: RecipeSettings,
    dtype: torch.dtype,
    random: torch.Generator,
) -> tuple[Tensor, Tensor, dict[str, Companions]]:
    """Features [N,D] and logits [N,C] of the inputs, and the companions with theirs, in one pass."""
    joined = torch.cat([inputs, *(each.inputs for each in beside.values())]) if beside else inputs
    with autocast(dtype, inputs.device):
        features = network.features(joined.contiguous(memory_format=torch.channels_last))
        logits = training_logits(network.head, features, recipe.normalisation, recipe.dropout, random)
    if not beside:
        return features, logits, {}
    counts = [len(inputs), *(len(each.inputs) for each in beside.values())]
    features, *others = features.split(counts)
    logits, *their_logits = logits.split(counts)
    parts = zip(beside.items(), others, their_logits, strict=True)
    return features, logits, {n: replace(c, features=f.float(), logits=z.float()) for (n, c), f, z in parts}

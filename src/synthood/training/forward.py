"""One pass of the network over a batch and over the auxiliary inputs of its terms."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from synthood.common.arithmetic import autocast
from synthood.common.ranks import SINGLE_PROCESS, AllGather, Ranks
from synthood.training.methods.term import AuxiliaryInputs, Term
from synthood.training.networks.architectures.base import ImageNetwork, channels_last
from synthood.training.settings import RecipeSettings

Features = Callable[[Tensor], Tensor]


def auxiliary_inputs(
    terms: nn.ModuleDict, inputs: Tensor, labels: Tensor, random: torch.Generator
) -> dict[str, AuxiliaryInputs]:
    """Images that the terms ask for, to go through the network with the inputs, by name."""
    asked = {n: t.auxiliary_inputs(inputs, labels, random) for n, t in terms.items() if isinstance(t, Term)}
    return {name: images for name, images in asked.items() if images is not None}


@dataclass
class ForwardPass:
    """How a batch goes through the network: in how many micro-batches, and on which of the processes."""

    network: ImageNetwork
    features: Features
    dtype: torch.dtype
    micro_batches: int = 1
    ranks: Ranks = SINGLE_PROCESS
    count: int = 0
    """Images of the latest batch, auxiliary ones included."""

    def __call__(self, inputs: Tensor, is_real: Tensor, others: list[Tensor]) -> Tensor:
        """Features [N,D] of the inputs [n,3,H,W], of which some are real, bool [n] on the CPU, and of others behind."""
        joined = torch.cat([inputs, *others]) if others else inputs
        self.count = len(joined)
        if self.ranks.count == 1:
            return self._in_micro_batches(channels_last(joined))
        first, rows = len(inputs), [self.ranks.shard_batch(is_real)]
        for each in others:
            rows.append(self.ranks.shard_rows(torch.arange(first, first + len(each))))
            first += len(each)
        shard = torch.cat(rows).to(joined.device, non_blocking=True)
        part = self._in_micro_batches(channels_last(joined[shard]))
        features: Tensor = AllGather.apply(part.float(), shard, len(joined), False)
        return features

    def _in_micro_batches(self, inputs: Tensor) -> Tensor:
        """In one go, or by micro-batches: each is computed again when its gradient is asked for, so that no more than
        one's layers are in memory."""
        if self.micro_batches == 1:
            return self.features(inputs)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), frozen_statistics(self.network)

        pieces = inputs.split(-(-len(inputs) // self.micro_batches))
        return torch.cat(
            [checkpoint(self.network.features, piece, use_reentrant=False, context_fn=contexts) for piece in pieces]
        )


class Compiled:
    """Features by torch.compile for the largest batches so far; others, such as an epoch's last, as they are.

    With `graphs` they are replayed as CUDA graphs, which saves the time of starting kernels one by one.
    """

    def __init__(self, features: Features, graphs: bool) -> None:
        self.features, self.graphs = features, graphs
        self.compiled = torch.compile(features, dynamic=False, mode="reduce-overhead" if graphs else None)
        self.largest = 0

    def __call__(self, inputs: Tensor) -> Tensor:
        self.largest = max(self.largest, len(inputs))
        if len(inputs) < self.largest:
            return self.features(inputs)
        features: Tensor = self.compiled(inputs)
        # The graph writes the next batch's features into the same memory.
        return features.clone() if self.graphs else features


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisation computes as in training and updates no statistics."""
    modules = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    before = [(module.momentum, module.num_batches_tracked) for module in modules]
    for module in modules:
        module.momentum, module.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for module, (momentum, counter) in zip(modules, before, strict=True):
            module.momentum, module.num_batches_tracked = momentum, counter


def forward(
    forward_pass: ForwardPass,
    inputs: Tensor,
    is_real: Tensor,
    auxiliary: Mapping[str, AuxiliaryInputs],
    recipe: RecipeSettings,
    random: torch.Generator,
) -> tuple[Tensor, Tensor, dict[str, AuxiliaryInputs]]:
    """Features [N,D] and logits [N,C] of the inputs, and the auxiliary inputs with theirs, in one pass."""
    with autocast(forward_pass.dtype, inputs.device):
        features = forward_pass(inputs, is_real, [each.inputs for each in auxiliary.values()])
        logits = training_logits(forward_pass.network.head, features, recipe, random)
    if not auxiliary:
        return features, logits, {}
    counts = [len(inputs), *(len(each.inputs) for each in auxiliary.values())]
    features, *others = features.split(counts)
    logits, *their_logits = logits.split(counts)
    parts = zip(auxiliary.items(), others, their_logits, strict=True)
    return features, logits, {n: replace(c, features=f.float(), logits=z.float()) for (n, c), f, z in parts}


def training_logits(head: nn.Linear, features: Tensor, recipe: RecipeSettings, random: torch.Generator) -> Tensor:
    """Logits [N,C] of features [N,D] as training sees them; inference takes `head(features)`.

    Dropout before the last layer (arXiv 1506.02142) zeroes a share of the features and lets the others grow by as much.
    """
    if recipe.dropout:
        mask = torch.rand(features.shape, generator=random).to(features.device, non_blocking=True) >= recipe.dropout
        features = features * mask / (1 - recipe.dropout)
    for method in recipe.methods:
        features = method.adjusted_features(features)
    logits: Tensor = head(features)
    return logits

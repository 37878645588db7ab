"""What a student learns beside its network: projections into the spaces of its teachers and outliers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from synthood.common.seeds import derived_seed

ADAPTER_WIDTH = 32


def nothing() -> Tensor:
    return torch.empty(0)


@dataclass(frozen=True)
class Companions:
    """Images that go through the network beside a batch's own, in the same pass.

    inputs float32 [M,3,H,W], targets as their term needs them, and what comes of them: logits float32 [M,C] and
    features float32 [M,D].
    """

    inputs: Tensor
    targets: Tensor = field(default_factory=nothing)
    logits: Tensor = field(default_factory=nothing)
    features: Tensor = field(default_factory=nothing)


@dataclass(frozen=True)
class Batch:
    """A step as the terms of the loss see it.

    inputs float32 [N,3,H,W], labels int64 [N], rows int64 [N] (index of the training image; at or above their number
    for synthetic ones), logits float32 [N,C] and features float32 [N,D] of the student, its last layer, the step's
    random numbers, the type in which networks compute, the companions that terms asked for, by their names, the
    samples' weights float32 [N] of sum 1 (None: all alike), and the share of the training's steps that is done.
    """

    inputs: Tensor
    labels: Tensor
    rows: Tensor
    logits: Tensor
    features: Tensor
    head: nn.Linear
    random: torch.Generator
    precision: torch.dtype = torch.float32
    beside: Mapping[str, Companions] = field(default_factory=dict)
    weights: Tensor | None = None
    progress: float = 1.0


@dataclass(frozen=True)
class Seen:
    """Images as a trained network sees them: inputs float32 [N,3,H,W], its features [N,D] and logits [N,C] of them.

    `features_of` gives the features of other inputs, such as the same images turned.
    """

    inputs: Tensor
    features: Tensor
    logits: Tensor
    features_of: Callable[[Tensor], Tensor]


class Term(nn.Module):
    """A part of the loss, with the parameters that it alone needs.

    `passing` names buffers that a resumed run needs, and nobody once training is done. A term whose head a detector
    reads overrides `output`, stands in `training.reading.reading_terms` and `training.settings.HeadSettings` under its
    recipe's key, and the detector's settings say `reads = "<that key>"` (see evaluation/detectors/trained.py).
    """

    passing: tuple[str, ...] = ()

    def companions(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> Companions | None:
        """Images for the network beside inputs float32 [N,3,H,W] with labels int64 [N]; none unless overridden."""
        return None

    def compared(self, logits: Tensor, batch: Batch) -> Tensor:
        """Logits [N,C] that cross-entropy sees; as they are unless overridden."""
        return logits

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted losses by name."""
        raise NotImplementedError

    def settle(self, head: nn.Linear) -> None:
        """What is done to the network's last layer after each step; nothing unless overridden."""

    def output(self, seen: Seen) -> Tensor | None:
        """What detectors read of the trained head, float32 [N,...], a row per image; none unless overridden.

        `extract` writes it beside logits and features. No row may depend on another image of the batch.
        """
        return None


def learned(terms: nn.ModuleDict) -> dict[str, Tensor]:
    """What is kept of the terms, by name."""
    parts = [(name, term) for name, term in terms.items() if isinstance(term, Term)]
    return {f"{n}.{key}": v for n, t in parts for key, v in t.state_dict().items() if key not in t.passing}


class EnergyLogOdds(nn.Linear):
    """Log odds [N,1] that a sample of energy [N,1] is ID; they rise with it at first.

    From a random sign a short training goes on in its direction, and half of the seeds would rank OOD above ID.
    """

    def __init__(self) -> None:
        super().__init__(1, 1)

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)


class LatentAdapter(nn.Sequential):
    """Latents float32 [N,c,h,w] to the student's feature space [N,D]."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__(
            nn.Conv2d(channels, ADAPTER_WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(ADAPTER_WIDTH, 2 * ADAPTER_WIDTH, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * ADAPTER_WIDTH, 2 * ADAPTER_WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * ADAPTER_WIDTH, features),
        )


def initialised(term: Term, seed: int, name: str) -> Term:
    """The term with its parameters drawn anew from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, name))
        for module in term.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.reset_parameters()
    return term

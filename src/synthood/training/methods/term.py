"""A part of the loss, and what it sees of a step and of a trained network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from synthood.common.lazy import Module, Tensor, nn, np, torch
from synthood.training.outlier_set import OutlierSet

if TYPE_CHECKING:
    from synthood.training.networks.model import Classifier

Prepared = Callable[["Tensor", "torch.Generator"], "Tensor"]
"""Images uint8 [N,H,W,3] augmented and normalised, float32 [N,3,H,W]."""


@functools.cache
def no_images() -> np.ndarray:
    """An empty batch, uint8 [0,1,1,3]."""
    return np.empty((0, 1, 1, 3), np.uint8)


def as_they_are(images: Tensor, random: torch.Generator) -> Tensor:
    """Images float32 [N,3,H,W] without augmentation, from 0 to 255."""
    return images.permute(0, 3, 1, 2).float()


@dataclass(frozen=True)
class Context:
    """What terms are built from.

    The width D of features and the number of classes; in training also the network, what its inputs are normalised by,
    the teacher's file, outlier embeddings and latents, outlier images uint8 [M,H,W,3] and how images are augmented.
    """

    features: int
    classes: int
    label_smoothing: float = 0.0
    classifier: Classifier | None = None
    mean: Sequence[float] = ()
    deviation: Sequence[float] = ()
    teacher: Path | None = None
    outliers: OutlierSet | None = None
    exposed: np.ndarray = field(default_factory=no_images)
    prepared: Prepared = as_they_are


def nothing() -> Tensor:
    return torch.empty(0)


@dataclass(frozen=True)
class AuxiliaryInputs:
    """Images that go through the network with a batch's own, in the same pass.

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
    random numbers, the type in which networks compute, the auxiliary inputs that terms asked for, by name, the
    samples' weights float32 [N] in sums over the batch, of sum 1 unless classes weigh (None: all alike), and the share
    of the training's steps that is done.
    """

    inputs: Tensor
    labels: Tensor
    rows: Tensor
    logits: Tensor
    features: Tensor
    head: nn.Linear
    random: torch.Generator
    precision: torch.dtype = field(default_factory=lambda: torch.float32)
    auxiliary: Mapping[str, AuxiliaryInputs] = field(default_factory=dict)
    weights: Tensor | None = None
    progress: float = 1.0


@dataclass(frozen=True)
class ForwardOutputs:
    """Inputs float32 [N,3,H,W] of a trained network, and its features [N,D] and logits [N,C] of them.

    `features_of` gives the features of other inputs, such as the same images turned.
    """

    inputs: Tensor
    features: Tensor
    logits: Tensor
    features_of: Callable[[Tensor], Tensor]


class Term(Module):
    """A part of the loss, with the parameters that it alone needs.

    `training_only_buffers` names buffers that a resumed run needs, and nobody once training is done. A term whose
    trained head a detector reads overrides `readout`; its method's `head` is what the detector's `reads` names.
    """

    training_only_buffers: tuple[str, ...] = ()
    learning_rate: float | None = None
    """Of its parameters; the recipe's `head_learning_rate` where it has none of its own."""

    def auxiliary_inputs(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> AuxiliaryInputs | None:
        """Further images for inputs float32 [N,3,H,W] with labels int64 [N]; none unless overridden."""
        return None

    def adjust_logits(self, logits: Tensor, batch: Batch) -> Tensor:
        """Logits [N,C] that cross-entropy sees; as they are unless overridden."""
        return logits

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted losses by name."""
        raise NotImplementedError

    def after_step(self, head: nn.Linear) -> None:
        """Changes the network's last layer after each step; nothing unless overridden."""

    def readout(self, outputs: ForwardOutputs) -> Tensor | None:
        """What detectors read of the trained head, float32 [N,...], a row per image; none unless overridden.

        `extract` writes it next to logits and features. No row may depend on another image of the batch.
        """
        return None

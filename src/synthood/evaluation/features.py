"""Features of one model on all parts of a dataset: what detectors score, on disk and in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from synthood.common.lazy import F, Tensor, torch
from synthood.errors import SynthoodError
from synthood.evaluation.moments import Moments, pieces, principal_axes
from synthood.evaluation.unchanged import Unchanged

BANK_ROWS = 1 << 14
"""Of the bank that are compared at once."""
SEEN = 1 << 12
"""Of the bank, at most, whose mean direction is its centre."""
IN_MEMORY_BYTES = 1 << 28
"""Bytes up to which a bank's directions, and what a file holds, are kept in memory."""
TOLERANCE = 0.02
"""Of the largest logit: how far a head may be from the logits, for features or logits kept in half precision."""


@dataclass(frozen=True)
class Features:
    """Logits float32 [N,C], penultimate features float32 [N,D] and labels int64 [N] of one part.

    `outputs` float32 [N,...] are what heads trained with the classifier give (`training.methods.term.Term.readout`), by
    the recipe's key.
    """

    logits: Tensor
    features: Tensor
    labels: Tensor
    outputs: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.logits)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """All by their names in `name`, such as x.logits."""
        own = {f"{name}.{key}": getattr(self, key) for key in ("logits", "features", "labels")}
        return own | {f"{name}.outputs[{key!r}]": output for key, output in self.outputs.items()}

    def aliases(self) -> Features:
        """The same memory in tensors of its own, so that a flag or a key that is set here is set nowhere else."""
        outputs = {key: output.detach() for key, output in self.outputs.items()}
        return Features(self.logits.detach(), self.features.detach(), self.labels.detach(), outputs)


@dataclass(frozen=True)
class Reference:
    """What a detector may be fitted on: ID training and validation features, and the head's W [C,D] and b [C]."""

    train: Features
    val: Features
    weight: Tensor
    bias: Tensor

    @cached_property
    def moments(self) -> Moments:
        """Means and covariances of the training features, shared by all detectors that are fitted on them."""
        return Moments(self.train.features, self.train.labels)

    @cached_property
    def direction_moments(self) -> Moments:
        """Those of the training features over their norms."""
        return Moments(self.train.features, self.train.labels, normalised=True)

    @cached_property
    def axes(self) -> tuple[Tensor, Tensor]:
        """u = -W^+ b [D], where all logits are zero, and the training features' principal axes about it [D,D]."""
        origin = -torch.linalg.pinv(self.weight.double()) @ self.bias.double()
        return origin, principal_axes(self.train.features, origin)

    @cached_property
    def bank(self) -> Bank:
        """Directions of the training features, shared by all detectors that look for neighbours."""
        return Bank(self.train.features)

    @cached_property
    def unchanged(self) -> Unchanged:
        """The tensors' digests, from before any detector that is not ours saw them."""
        tensors = self.train.tensors("reference.train") | self.val.tensors("reference.val")
        return Unchanged(tensors | {"reference.weight": self.weight, "reference.bias": self.bias})

    def aliases(self) -> Reference:
        """The same memory in tensors of its own, and nothing of what detectors share."""
        return Reference(self.train.aliases(), self.val.aliases(), self.weight.detach(), self.bias.detach())


class Bank:
    """Directions z = h / ||h|| of features [M,D], in pieces: kept in memory where they are few, else made anew.

    They are stored so that one product with `queries` gives <z, z'> - 1, from distances around a point among them:
    where all features have much in common, single precision would round cosines to one.
    """

    def __init__(self, features: Tensor, rows: int = BANK_ROWS, in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self.features, self.rows = features, rows
        self.centre = F.normalize(features[:: -(-len(features) // SEEN)]).mean(0)
        self.in_memory = self.points(features) if features.nbytes <= in_memory_bytes else None

    def __len__(self) -> int:
        return len(self.features)

    def pieces(self) -> Iterator[tuple[slice, Tensor]]:
        """Places and points [m,D+2] of at most `rows` samples, in order."""
        if self.in_memory is not None:
            yield from pieces(self.in_memory, self.rows)
            return
        for place, rows in pieces(self.features, self.rows):
            yield place, self.points(rows)

    def points(self, features: Tensor) -> Tensor:
        """z - m, 1 and -(||z - m||^2 + 1 - ||z||^2) / 2 of features [N,D], m the centre; z of a zero row is zero."""
        centred, offset = self._centred(features)
        return torch.cat([centred, torch.ones_like(offset), offset], 1)

    def queries(self, features: Tensor) -> Tensor:
        """What gives with points [m,D+2] the cosines less one [N,m] of features [N,D], as a matrix product."""
        centred, offset = self._centred(features)
        return torch.cat([centred, offset, torch.ones_like(offset)], 1)

    def _centred(self, features: Tensor) -> tuple[Tensor, Tensor]:
        centred = F.normalize(features).sub_(self.centre)
        zero = (features == 0).all(1)
        return centred, (torch.linalg.vecdot(centred, centred) + zero)[:, None] / -2


def parts(x: Features, rows: int | None = None) -> Iterator[Features]:
    """The samples in order, at most `rows` at once."""
    for place, features in pieces(x.features, rows):
        outputs = {name: output[place] for name, output in x.outputs.items()}
        yield Features(x.logits[place], features, x.labels[place], outputs)


def checked(x: Features, where: Path | str) -> Features:
    """The features in float32; raises where they do not belong together or are not finite, and names `where`."""
    if not len(x.logits) == len(x.features) == len(x.labels) > 0:
        raise SynthoodError(f"{where}: logits, features and labels differ in length or are empty")
    if not (x.logits.ndim == x.features.ndim == 2 and x.labels.ndim == 1):
        raise SynthoodError(f"{where}: expected logits [N,C], features [N,D] and labels [N], got other shapes")
    if not all(rows.isfinite().all() for values in (x.logits, x.features) for _, rows in pieces(values)):
        raise SynthoodError(f"{where}: logits or features are not finite; the model that made them is broken")
    for name, output in x.outputs.items():
        if len(output) != len(x.logits) or not output.isfinite().all():
            raise SynthoodError(f"{where}: the output of `{name}` is not a finite number per sample; train it again")
    outputs = {name: output.float() for name, output in x.outputs.items()}
    return Features(x.logits.float(), x.features.float(), x.labels.long(), outputs)


def checked_reference(reference: Reference, where: Path | str) -> Reference:
    """The reference with a float32 head; raises where its shapes or labels do not fit the features."""
    train, val, weight, bias = reference.train, reference.val, reference.weight.float(), reference.bias.float()
    classes, width = train.logits.shape[1], train.features.shape[1]
    if weight.shape != (classes, width) or bias.shape != (classes,):
        shape = " and ".join(str(list(tensor.shape)) for tensor in (weight, bias))
        raise SynthoodError(
            f"{where}: a head of shape {shape} does not fit {width} features and {classes} logits; "
            f"take both from the same model"
        )
    if (val.logits.shape[1], val.features.shape[1]) != (classes, width):
        raise SynthoodError(f"{where}: training and validation features differ in shape; take both from the same model")
    if classes < 2:
        raise SynthoodError(f"{where}: one logit only; detectors need at least two classes")
    for name, part in (("training", train), ("validation", val)):
        if part.labels.min() < 0 or part.labels.max() >= classes:
            raise SynthoodError(
                f"{where}: {name} labels lie outside 0 to {classes - 1}; number classes by the logits' columns "
                f"and keep OOD samples out"
            )
    return Reference(train, val, weight, bias)


def check_head(reference: Reference, where: Path | str) -> None:
    """Raises where W h + b are not the logits of the validation samples."""
    given = reference.val.logits
    own = F.linear(reference.val.features, reference.weight, reference.bias)
    if (own - given).abs().max() > TOLERANCE * given.abs().max() + 1e-4:
        raise SynthoodError(
            f"{where}: the head's weights do not give the logits of the features; take both from the same model"
        )

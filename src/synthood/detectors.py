"""Every detector without a workflow: `from synthood.detectors import fit, score`.

    train, val = (features_of(model, "fc", batches) for batches in (train_loader, val_loader))
    detector = fit("knn", train, val, head_of(model, "fc"), k=50)
    logits, features, _ = features_of(model, "fc", images)
    confidence = score(detector, logits, features)

`model` is any torch module and "fc" the name of its last linear layer. Confidence is larger for in-distribution
samples. `names()` lists the detectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from torch import Tensor

from synthood.errors import SynthoodError, nearest
from synthood.evaluation.detectors import METHODS, Score, together
from synthood.evaluation.features import Features, Reference, checked, checked_reference
from synthood.evaluation.hyperparameters import Hyperparameters
from synthood.evaluation.modules import features_of, head_of
from synthood.evaluation.search import Validation, fitted

__all__ = ["FittedDetector", "features_of", "fit", "head_of", "names", "score"]

Part = Sequence[Any]
"""Logits [N,C], features [N,D] and labels [N] of the same samples, as arrays or tensors.

A fourth item, for detectors that read trained heads: outputs [N,...] by the key of the recipe that trains the head.
"""
KINDS = {get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in METHODS}


@dataclass(frozen=True)
class FittedDetector:
    """A detector for heads of shape (C, D), with the candidates that were tried for it, none without a grid."""

    name: str
    head: tuple[int, int]
    confidence: Score
    search: pd.DataFrame


def names() -> list[str]:
    """The detectors that `fit` knows."""
    return sorted(KINDS)


def fit(
    name: str,
    train: Part,
    val: Part,
    head: tuple[ArrayLike | Tensor, ArrayLike | Tensor],
    ood_validation: Part | None = None,
    **hyperparameters: Any,
) -> FittedDetector:
    """Fits a detector on ID data and the head's (W [C,D], b [C]); a list of values is searched on validation data.

    Raises SynthoodError for an unknown name or hyperparameter, and for data that do not belong together.
    """
    if name not in KINDS:
        raise SynthoodError(f"no detector is named {name!r}{nearest(name, KINDS)}")
    settings = settings_of(KINDS[name], {"kind": name, **hyperparameters})
    reference = Reference(part(train, "train"), part(val, "val"), tensor(head[0]), tensor(head[1]))
    ood = None if ood_validation is None else part(ood_validation, "ood_validation")
    validation = Validation(checked_reference(reference, "train, val and head"), ood, "train, val and head")
    scores, table = fitted({name: settings}, validation)
    classes, width = validation.reference.weight.shape
    return FittedDetector(name, (classes, width), scores[name], table)


def score(
    detector: FittedDetector,
    logits: ArrayLike | Tensor,
    features: ArrayLike | Tensor,
    outputs: Mapping[str, ArrayLike | Tensor] | None = None,
) -> NDArray[np.float32]:
    """Confidence [N] of samples in their order, larger for in-distribution."""
    given = part((logits, features, np.zeros(len(tensor(logits))), outputs or {}), "logits and features")
    shape = (given.logits.shape[1], given.features.shape[1])
    if shape != detector.head:
        raise SynthoodError(f"{detector.name}: fitted for logits and features of widths {detector.head}, got {shape}")
    return together({detector.name: detector.confidence}, given)[detector.name].numpy()


def settings_of(kind: type[Hyperparameters], values: Mapping[str, Any]) -> Hyperparameters:
    """Checked hyperparameters; integers may stand for floats."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        key = ".".join(map(str, found["loc"]))
        known = nearest(key, [k for k in kind.model_fields if k != "kind"] or ["none"])
        raise SynthoodError(
            f"{values['kind']}: {key}: "
            + ("unknown hyperparameter" + known if "extra" in found["type"] else found["msg"])
        ) from error


def part(given: Part, name: str) -> Features:
    """Checked float32 features."""
    if len(given) not in (3, 4):
        raise SynthoodError(f"{name}: expected logits, features and labels, got {len(given)} arrays")
    logits, features, labels = map(tensor, given[:3])
    outputs = {key: tensor(output) for key, output in given[3].items()} if len(given) == 4 else {}
    return checked(Features(logits, features, labels, outputs), name)


def tensor(values: ArrayLike | Tensor) -> Tensor:
    """On the CPU, without gradients; a float64 array becomes float32 when it is checked."""
    return values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))

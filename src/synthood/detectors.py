"""Every detector without a workflow: `from synthood.detectors import fit, score`.

    train, val = (features_of(model, "fc", batches) for batches in (train_loader, val_loader))
    detector = fit("knn", train, val, head_of(model, "fc"), k=50)
    logits, features, _ = features_of(model, "fc", images)
    confidence = score(detector, logits, features)

`model` is any torch module and "fc" the name of its last linear layer. Confidence is larger for in-distribution
samples. `names()` lists the detectors. Each is a class as well, `Knn(k=50).fit(reference).score(samples)`, with
`Reference` and `Features` of checked tensors. Detectors of the model are fitted on it and images:
`Odin(temperature=1000, noise=0.0014).fit(model, layer="fc", std=(0.2, 0.2, 0.2)).score(images)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from synthood.deploy import fitted as deployed
from synthood.errors import SynthoodError, nearest, printable
from synthood.evaluation.arrays import class_numbers, numbers, plain
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.of_model.base import ModelDetector
from synthood.evaluation.features import Features, Reference, checked, checked_reference
from synthood.evaluation.modules import features_of, head_of
from synthood.evaluation.scoring import Score, together
from synthood.evaluation.search import Validation, fitted
from synthood.evaluation.selection import COLUMNS
from synthood.plugins import plugins

__all__ = ["Features", "FittedDetector", "Reference", "features_of", "fit", "head_of", "names", "score"]

Part = Sequence[Any] | Features
"""Logits [N,C], features [N,D] and labels [N] of the same samples, as arrays, tensors or lists.

Labels are class numbers, and may be left out where a detector needs none. A fourth item, for detectors that read
trained heads: outputs [N,...] by the key of the recipe that trains the head.
"""
Head = Sequence[Any] | ArrayLike | Tensor | nn.Linear
"""W [C,D] and b [C], W alone where there is no bias, or the layer."""


FLOATS = ("logits", "features")


EVERY = plugins(Detector, "synthood.evaluation.detectors")
OF_MODEL = [kind for kind, one in EVERY.items() if issubclass(one, ModelDetector)]
ELSEWHERE = {
    "ensemble": "the features of several models",
    "custom": "a file with a function of yours",
    "cfs": "a generator fitted on ID images",
}
"""What else a workflow has, and what it needs."""
KINDS = {kind: one for kind, one in EVERY.items() if kind not in [*ELSEWHERE, *OF_MODEL]}


def __getattr__(name: str) -> Any:
    """A detector's class by its name, such as `Knn`; Any, since each has its own keys and `fit`."""
    classes = {one.__name__: one for one in EVERY.values()}
    if name not in classes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return classes[name]


@dataclass(frozen=True)
class FittedDetector:
    """A detector for heads of shape (C, D), with the candidates that were tried for it, none without a grid."""

    name: str
    head: tuple[int, int]
    confidence: Score
    search: pd.DataFrame

    def save(self, folder: str | Path) -> None:
        """Writes state and settings to a new folder, without pickle; raises SynthoodError where it exists."""
        search = self.search.astype(object).where(self.search.notna(), None).to_dict("records")
        deployed.save(
            Path(folder), self.confidence, self.name, {"name": self.name, "head": self.head, "search": search}
        )

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """What `save` wrote, which scores the same to the bit; raises SynthoodError where a byte of it has changed."""
        confidence, facts = deployed.load(Path(folder))
        classes, width = facts["head"]
        return cls(facts["name"], (classes, width), confidence, pd.DataFrame(facts["search"], columns=list(COLUMNS)))


def names() -> list[str]:
    """The detectors that `fit` knows."""
    return sorted(KINDS)


def fit(
    name: str,
    train: Part,
    val: Part | None = None,
    head: Head | None = None,
    ood_validation: Part | None = None,
    **hyperparameters: Any,
) -> FittedDetector:
    """Fits a detector on ID data and the head's (W [C,D], b [C]); a list of values is searched on validation data.

    `val` and `head` may be left out where the detector does not look at them. Data are copied, so that changes of them
    afterwards change no score. Raises SynthoodError for an unknown name or hyperparameter, for what is missing, and for
    data that do not belong together.
    """
    settings = settings_of(name, hyperparameters)
    if train is None:
        raise SynthoodError(f"{name}: pass train, the logits, features and labels of ID training samples")
    if val is None and "val" in settings.fitted_on:
        raise SynthoodError(f"{name}: is fitted on ID validation samples; pass val")
    if head is None and "head" in settings.inputs:
        raise SynthoodError(f"{name}: needs the last layer; pass head=head_of(model, layer), or its (W, b)")
    if len(settings.candidates()) > 1 and (val is None or ood_validation is None):
        raise SynthoodError(f"{name}: val and ood_validation choose among values; pass both, or one value of each")
    known = part(train, "train", copy=True)
    inside = known if val is None else part(val, "val", copy=True)
    ood = None if ood_validation is None else part(ood_validation, "ood_validation")
    sizes = widths(known)
    for other, which in ((inside, "val"), (ood, "ood_validation")):
        if other is not None and widths(other) != sizes:
            raise SynthoodError(f"{which}: logits and features of widths {widths(other)}, those of train have {sizes}")
    if not settings.labelled:
        known, inside = (without_labels(x) for x in (known, inside))
    elif bare := [which for which, x in (("train", known), ("val", inside)) if (x.labels == -1).all()]:
        raise SynthoodError(f"{name}: needs labels, and {bare[0]} has none; pass them as the third item")
    # Numbers that are none show where a detector looks at a head it was not given
    weight, bias = (torch.full(size, torch.nan) for size in (sizes, sizes[:1])) if head is None else head_given(head)
    reference = checked_reference(Reference(known, inside, weight, bias), "train, val and head")
    scores, table = fitted({name: settings}, Validation(reference, ood, "train, val and head"))
    return FittedDetector(name, sizes, scores[name], table)


def score(
    detector: FittedDetector,
    logits: ArrayLike | Tensor,
    features: ArrayLike | Tensor,
    outputs: Mapping[str, ArrayLike | Tensor] | None = None,
) -> NDArray[np.float32]:
    """Confidence [N] of samples in their order, larger for in-distribution; raises where one is not finite."""
    if not isinstance(detector, FittedDetector):
        raise SynthoodError(f"score: expected what fit gives first, got {type(detector).__name__}")
    given = part((logits, features, None, outputs), "logits and features")
    if widths(given) != detector.head:
        got = widths(given)
        raise SynthoodError(f"{detector.name}: fitted for logits and features of widths {detector.head}, got {got}")
    found = together({detector.name: detector.confidence}, given)[detector.name]
    if wrong := int((~found.isfinite()).sum()):
        raise SynthoodError(f"{detector.name}: gives {wrong} of {len(found)} samples a confidence that is not finite")
    return found.numpy()


def settings_of(name: str, values: Mapping[str, Any]) -> Detector:
    """Checked hyperparameters; integers may stand for floats, and numpy's numbers, tuples and ranges for Python's."""
    if name in OF_MODEL:
        raise SynthoodError(
            f"{name!r} needs the model itself, not its features: take {EVERY[name].__name__}(...).fit(model, images, "
            f"labels).score(images) of synthood.detectors (docs/detectors.md)"
        )
    if name in ELSEWHERE:
        raise SynthoodError(
            f"{name!r} needs {ELSEWHERE[name]}: it is not available from Python, but as `kind: {name}` in the "
            f"`detectors` of a workflow's configuration (docs/detectors.md)"
        )
    if name not in KINDS:
        near = nearest(str(name).lower().replace("_", "-"), KINDS)
        raise SynthoodError(f"no detector is named {printable(name)!r}{near}")
    kind = KINDS[name]
    try:
        return kind.model_validate({"kind": name} | {key: plain(value) for key, value in values.items()})
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        key = ".".join(map(str, found["loc"]))
        known = nearest(key, [k for k in kind.model_fields if k != "kind"] or ["none"])
        told = "unknown hyperparameter" + known if "extra" in found["type"] else found["msg"]
        raise SynthoodError(f"{name}: {key}: {told.removeprefix('Value error, ')}") from error


def part(given: Part, name: str, copy: bool = False) -> Features:
    """Checked float32 features, labels -1 where there are none."""
    if isinstance(given, Features):
        given = (given.logits, given.features, given.labels, given.outputs)
    if not isinstance(given, list | tuple):
        raise SynthoodError(f"{name}: expected logits, features and labels, got {type(given).__name__}")
    if len(given) not in (2, 3, 4):
        raise SynthoodError(f"{name}: expected logits, features and labels, got {len(given)} arrays")
    labels, outputs = (*given[2:], None, None)[:2]
    outputs = {} if outputs is None else outputs
    rows = {what: numbers(values, f"{name}: {what}", copy).float() for what, values in zip(FLOATS, given, strict=False)}
    for what, values in rows.items():
        if values.ndim != 2 or 0 in values.shape:
            raise SynthoodError(f"{name}: {what}: expected rows of numbers [N,...], got {list(values.shape)}")
    counts = {what: len(values) for what, values in rows.items()}
    if len(set(counts.values())) > 1:
        raise SynthoodError(f"{name}: {counts['logits']} rows of logits, but {counts['features']} of features")
    if not isinstance(outputs, Mapping):
        raise SynthoodError(f"{name}: expected outputs by the key of the recipe, got {type(outputs).__name__}")
    own = {key: numbers(x, f"{name}: outputs[{key!r}]", copy) for key, x in outputs.items()}
    return checked(Features(**rows, labels=class_numbers(labels, name, counts["logits"], copy), outputs=own), name)


def widths(x: Features) -> tuple[int, int]:
    """C and D."""
    return x.logits.shape[1], x.features.shape[1]


def without_labels(x: Features) -> Features:
    """With class 0 for all where there are none, for detectors that do not look at them."""
    return Features(x.logits, x.features, x.labels.clamp(min=0), x.outputs) if (x.labels == -1).all() else x


def head_given(head: Head) -> tuple[Tensor, Tensor]:
    """W [C,D] and b [C], zeros where there is none."""
    if isinstance(head, nn.Linear):
        return head_of(head, "")
    if isinstance(head, nn.Module):
        raise SynthoodError(f"head: expected a linear layer, got {type(head).__name__}; pass head_of(model, layer)")
    weight, bias = (*head, None)[:2] if isinstance(head, list | tuple) and len(head) in (1, 2) else (head, None)
    found = numbers(weight, "head: weight", copy=True).float()
    if found.ndim != 2:
        raise SynthoodError(f"head: expected a weight [C,D], got {list(found.shape)}")
    return found, found.new_zeros(len(found)) if bias is None else numbers(bias, "head: bias", copy=True).float()

"""Detectors of the model, fitted on ID images, their hyperparameters chosen on ID and OOD validation images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from synthood.common.encoded import EncodedImages
from synthood.common.progress import Progress
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import State
from synthood.evaluation.detectors.of_model.base import ModelDetector, ModelMethod, Scorer
from synthood.evaluation.hyperparameters import OutOfRangeError, Values
from synthood.evaluation.probe import BatchView, Probe
from synthood.evaluation.selection import COLUMNS, area, selected, text_of
from synthood.training.networks.model import Classifier, inputs_of

SMALL_SIDE, SMALL_BATCH, LARGE_BATCH = 64, 128, 16
"""Images up to this side, and how many go at once, of them and of larger ones: their activations stay for gradients."""
Statistics = dict[tuple[str, str], Tensor]
"""By detector, and by the values that a pass depends on."""


@dataclass(frozen=True)
class Images:
    """Images uint8 [N,H,W,3] with labels int64 [N]."""

    images: np.ndarray | EncodedImages
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


class Source(Protocol):
    """Images that are batches already."""

    def views(self, probe: Probe) -> Iterator[tuple[BatchView, Tensor]]: ...


@dataclass(frozen=True)
class ImageValidation:
    """All that detectors may be fitted and chosen on. Test sets have no place in it."""

    train: Images | Source
    val: Images | Source
    ood: Images | Source | None = None


@dataclass(frozen=True)
class Fitted:
    """One detector with its hyperparameters."""

    method: ModelMethod
    values: Values
    scorer: Scorer
    state: State
    """From training and validation images, by name."""

    @classmethod
    def of(cls, method: ModelMethod, values: Values, own: State) -> "Fitted":
        """With `own`, what `method.state` took from validation images."""
        return cls(method, values, method.scorer(values, own), {**method.learned(), **own})

    @classmethod
    def restored(cls, detector: ModelDetector, probe: Probe, state: State) -> "Fitted":
        """From the state of one that was fitted on the same model, bit for bit."""
        values = detector.hyperparameters
        method = detector.method(probe, [values])
        method.restore(state)
        return cls(method, values, method.scorer(values, state), state)

    def __call__(self, batch: BatchView) -> Tensor:
        """Confidence float32 [N] of a batch, on the CPU."""
        return self.scorer(self.method.statistic(batch, self.values)).float()


def batches_of(
    probe: Probe, classifier: Classifier | None, images: Images | Source, name: str = ""
) -> Iterator[tuple[BatchView, Tensor]]:
    """The images batch by batch, with their labels; with progress where they have a `name`.

    The classifier says how images become inputs.
    """
    if not isinstance(images, Images):
        yield from images.views(probe)
        return
    assert classifier is not None
    batch = SMALL_BATCH if max(images.images.shape[1:3]) <= SMALL_SIDE else LARGE_BATCH
    labels = torch.from_numpy(images.labels).split(batch)
    progress = Progress(name, len(labels)) if name else None
    for step, (inputs, own) in enumerate(
        zip(inputs_of(classifier, images.images, probe.device, batch), labels, strict=True), 1
    ):
        yield BatchView(probe, inputs), own
        if progress is not None:
            progress.update(step, {})
    if progress is not None:
        progress.close()


def fitted(
    probe: Probe, classifier: Classifier | None, detectors: Mapping[str, ModelDetector], validation: ImageValidation
) -> tuple[dict[str, Fitted], pd.DataFrame]:
    """Each detector with its best hyperparameters, and a row per candidate of the grids, as `search.fitted` has it.

    One pass over the training images for those that learn from them, one over validation images for all.
    """
    grids = {name: [one.hyperparameters for one in d.candidates()] for name, d in detectors.items()}
    methods = {name: d.method(probe, grids[name]) for name, d in detectors.items()}
    for name, method in methods.items():
        if validation.ood is None and (len(grids[name]) > 1 or method.needs_ood_val):
            what = "a grid" if len(grids[name]) > 1 else "it"
            raise SynthoodError(f"detectors.{name}: {what} needs the dataset's ood_validation; name one")
    learning = [method for method in methods.values() if method.needs_train]
    for batch, labels in batches_of(probe, classifier, validation.train, "training images") if learning else ():
        for method in learning:
            method.observe(batch, labels)
    for method in learning:
        method.observed()
    asked = {name: m for name, m in methods.items() if m.needs_val or len(grids[name]) > 1}
    contrasted = {name: m for name, m in asked.items() if m.needs_ood_val or len(grids[name]) > 1}
    inside = statistics(probe, classifier, asked, validation.val)
    outside = {} if validation.ood is None else statistics(probe, classifier, contrasted, validation.ood)
    found: dict[str, Fitted] = {}
    rows: list[dict[str, object]] = []
    for name, method in methods.items():
        found[name], own = chosen(name, method, grids[name], inside, outside)
        rows += own
    return found, pd.DataFrame(rows, columns=list(COLUMNS))


def statistics(
    probe: Probe, classifier: Classifier | None, methods: Mapping[str, ModelMethod], images: Images | Source
) -> Statistics:
    """What the images show to every candidate of the methods, in one pass over them."""
    pieces: dict[tuple[str, str], list[Tensor]] = {}
    wanted = {
        (name, key_of(method, values)): (method, values)
        for name, method in methods.items()
        for values in method.candidates
    }
    for batch, _ in batches_of(probe, classifier, images, "validation images") if wanted else ():
        for key, (method, values) in wanted.items():
            pieces.setdefault(key, []).append(method.statistic(batch, values))
    return {key: torch.cat(each) for key, each in pieces.items()}


def chosen(
    name: str, method: ModelMethod, candidates: list[Values], inside: Statistics, outside: Statistics
) -> tuple[Fitted, list[dict[str, object]]]:
    """The best candidate, and a row of `COLUMNS` for each; none where there is but one."""

    def made(values: Values) -> tuple[Fitted, Tensor | None, Tensor | None]:
        key = (name, key_of(method, values))
        shown = inside.get(key), outside.get(key)
        return Fitted.of(method, values, method.state(values, *shown)), *shown

    if len(candidates) == 1:
        return made(candidates[0])[0], []
    possible: dict[str, Fitted] = {}
    areas: dict[str, float] = {}
    notes: dict[str, str] = {}
    for values in candidates:
        text = text_of(values)
        try:
            one, id_statistic, ood_statistic = made(values)
        except OutOfRangeError as error:
            notes[text] = f"left out: {error}"
            continue
        assert id_statistic is not None
        assert ood_statistic is not None
        possible[text] = one
        areas[text] = area(one.scorer(id_statistic).float(), one.scorer(ood_statistic).float(), name)
    best, rows = selected(name, map(text_of, candidates), areas, notes)
    return possible[best], rows


def key_of(method: ModelMethod, values: Values) -> str:
    """Candidates of one key share their statistic."""
    return text_of({name: values[name] for name in method.pass_params})

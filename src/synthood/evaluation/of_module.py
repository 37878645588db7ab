"""Detectors of the model without a workflow: any torch module, and images as its users have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from synthood.errors import SynthoodError
from synthood.evaluation.arrays import class_numbers
from synthood.evaluation.detectors.of_model.base import ModelDetector
from synthood.evaluation.model_search import LARGE_BATCH, SMALL_BATCH, SMALL_SIDE, Fitted, ImageValidation, fitted
from synthood.evaluation.modules import borrowed, linear, pairs, seen_by
from synthood.evaluation.probe import BatchView, Probe
from synthood.training.networks.architectures.base import ImageNetwork
from synthood.training.networks.model import Classifier

Channels = float | Sequence[float]
"""One number, or one for each channel."""


class Watched(ImageNetwork):
    """Any module: `head` is its layer of that name, which makes the logits, features are what this layer is given."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model, self.name, self.head = model, name, linear(model, name)

    def features(self, images: Tensor) -> Tensor:
        return seen_by(self.model, self.name, images, "a batch")[0]


@dataclass(frozen=True)
class Inputs:
    """How images become a model's inputs: uint8 ones by `mean` and `std` [channels], others are inputs already."""

    device: torch.device
    dtype: torch.dtype
    mean: Tensor | None
    std: Tensor | None

    def of(self, images: Tensor) -> Tensor:
        """Inputs [N,C,H,W] of images uint8 [N,H,W,C] or [N,C,H,W], or of inputs."""
        if images.ndim != 4:
            raise SynthoodError(f"expected a batch of images [N,H,W,3] or inputs [N,3,H,W], got {list(images.shape)}")
        if images.dtype != torch.uint8:
            return images.to(self.device, self.dtype)
        if self.mean is None or self.std is None:
            raise SynthoodError("images are uint8; pass the mean and std of pixels in [0,1] that the model is fed with")
        last = images.permute(0, 2, 3, 1) if images.shape[1] == 3 != images.shape[3] else images
        pixels = (last.to(self.device).float() / 255 - self.mean) / self.std
        return pixels.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last).to(self.dtype)


@dataclass(frozen=True)
class Batches:
    """Images of any form that `features_of` takes, batch by batch."""

    given: Any
    inputs: Inputs
    name: str
    labelled: bool = False

    def views(self, probe: Probe) -> Iterator[tuple[BatchView, Tensor]]:
        """Batches small enough for gradients, and labels; raises where labels are needed and missing or impossible."""
        none = True
        for number, (images, labels) in enumerate(pairs(self.given)):
            where = f"{self.name}: batch {number}"
            classes = class_numbers(labels, where, len(images), copy=True)
            if self.labelled and (classes.min() < 0 or classes.max() >= probe.classes):
                raise SynthoodError(f"{where}: expected labels from 0 to {probe.classes - 1}, got {labels!r:.60}")
            inputs = self.inputs.of(images)
            size = SMALL_BATCH if max(inputs.shape[2:]) <= SMALL_SIDE else LARGE_BATCH
            for some, own in zip(inputs.split(size), classes.split(size), strict=True):
                none = False
                yield BatchView(probe, some), own
        if none:
            raise SynthoodError(f"{self.name}: no images; an iterator that was used up gives none")


@dataclass(frozen=True)
class ModelScore:
    """A detector fitted on a model, with the candidates that were tried for it, none without a grid."""

    name: str
    fitted: Fitted = field(repr=False)
    search: pd.DataFrame = field(repr=False)
    inputs: Inputs = field(repr=False)

    def score(self, images: Any) -> Tensor:
        """Confidence float32 [N] of images in their order, larger for ID; raises where one is not finite."""
        probe = self.fitted.method.probe
        with borrowed(probe.network):
            batches = Batches(images, self.inputs, self.name).views(probe)
            found = torch.cat([self.fitted(batch) for batch, _ in batches])
        if wrong := int((~found.isfinite()).sum()):
            raise SynthoodError(f"{self.name}: gives {wrong} of {len(found)} images a confidence that is not finite")
        return found


def fit(
    detector: ModelDetector,
    model: Any,
    train: Any,
    labels: Any,
    val: Any,
    ood_validation: Any,
    layer: str | None,
    maps: Sequence[str] | None,
    mean: Channels | None,
    std: Channels | None,
) -> ModelScore:
    """What `ModelDetector.fit` does."""
    name = detector.kind
    if labels is not None and not isinstance(train, Tensor | np.ndarray):
        got = type(train).__name__
        raise SynthoodError(f"labels go with images in one array; give batches of (images, labels) instead, got {got}")
    if isinstance(model, Classifier):
        mean, std = model.mean, model.deviation
    network = watched(model.network if isinstance(model, Classifier) else model, layer)
    weight = network.head.weight
    numbers = [None if x is None else torch.tensor(x, dtype=torch.float32).to(weight.device) for x in (mean, std)]
    inputs = Inputs(weight.device, weight.dtype, *(None if x is None else x.reshape(-1) for x in numbers))
    with borrowed(network):
        blocks = None if maps is None else [submodule(network, one) for one in maps]
        probe = Probe(network, len(weight), inputs.std, weight.device, blocks)
        method = detector.method(probe, [one.hyperparameters for one in detector.candidates()])
        several = len(method.candidates) > 1
        missing = {
            "train, ID training images": method.needs_train and train is None,
            "val, ID validation images": (method.needs_val or several) and val is None,
            "ood_validation, OOD validation images": (method.needs_ood_val or several) and ood_validation is None,
        }
        if lacking := [what for what, wanted in missing.items() if wanted]:
            raise SynthoodError(f"{name}: pass {' and '.join(lacking)}")
        known = Batches(train if labels is None else (train, labels), inputs, "train", detector.labelled)
        inside, outside = Batches(val, inputs, "val"), Batches(ood_validation, inputs, "ood_validation")
        validation = ImageValidation(known, inside, None if ood_validation is None else outside)
        found, table = fitted(probe, None, {name: detector}, validation)
    return ModelScore(name, found[name], table, inputs)


def watched(model: nn.Module, layer: str | None) -> ImageNetwork:
    """The model with its last layer: that of the name, the head of one of our networks, or its only linear layer."""
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise SynthoodError(f"expected a torch.nn.Module whose layers can be watched, got {type(model).__name__}")
    model = getattr(model, "_orig_mod", model)
    if isinstance(model, ImageNetwork) and layer in (None, "head"):
        return model
    if layer is None:
        layers = [name for name, one in model.named_modules() if isinstance(one, nn.Linear)]
        if len(layers) != 1:
            shown = f"{', '.join(layers[-3:])}" if layers else "none"
            raise SynthoodError(f"pass layer, the linear layer that makes the logits; the last ones are {shown}")
        layer = layers[0]
    return Watched(model, layer)


def submodule(network: nn.Module, name: str) -> nn.Module:
    """A module of the caller's model by its name."""
    model = network.model if isinstance(network, Watched) else network
    known = dict(model.named_modules())
    if not name or name not in known:
        raise SynthoodError(f"maps: the model has no module {name!r}; names are such as {', '.join([*known][1:4])}")
    return known[name]

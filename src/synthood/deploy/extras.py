"""What a detector looks at besides one classifier's logits and features, saved with it: heads, maps, more models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthood.common.encoded import EncodedImages
from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector, State
from synthood.evaluation.detectors.of_model.base import CONFIDENCE, ModelDetector
from synthood.evaluation.ensembles import combined
from synthood.evaluation.extract import extracted
from synthood.evaluation.features import Features
from synthood.evaluation.model_search import Fitted, Images, batches_of
from synthood.evaluation.probe import Probe
from synthood.training.method_settings import ExtractSettings
from synthood.training.methods.term import Term
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.terms.build import learned, read_terms

HEADS = "heads.safetensors"
Pixels = NDArray[np.uint8] | EncodedImages


@dataclass(frozen=True)
class Extras:
    """Further classifiers of an ensemble, or trained heads with the methods that made them, or a detector of the model.

    All empty for detectors of one classifier's logits and features.
    """

    classifiers: Sequence[Classifier] = ()
    methods: ExtractSettings = field(default_factory=ExtractSettings)
    heads: Mapping[str, Term] = field(default_factory=dict)
    detector: Fitted | None = None

    def __bool__(self) -> bool:
        return bool(self.classifiers or self.heads or self.detector)

    def features(self, classifier: Classifier, images: Pixels, device: torch.device) -> Features:
        """Of images uint8 [N,H,W,3] of the model's size, without labels (-1), with what the detector reads."""
        labels = np.full(len(images), -1, np.int64)
        if self.classifiers:
            members = [plain(one, images, device) for one in (classifier, *self.classifiers)]
            return combined(members, ["a model of the ensemble"] * len(members))
        if self.detector is not None:
            return through(self.detector, classifier, Images(images, labels))
        if self.heads:
            return joined(list(extracted(classifier, self.heads, images, labels, device)))
        return plain(classifier, images, device)

    def to(self, device: torch.device) -> None:
        """Moves networks and heads to a device."""
        for module in (*(one.network for one in self.classifiers), *self.heads.values()):
            module.to(device)

    def save(self, folder: Path) -> None:
        """Adds files to an unfinished folder; a detector of the model is saved with the states."""
        for number, one in enumerate(self.classifiers, 1):
            one.save(folder / member_name(number))
        if self.heads:
            state = learned(torch.nn.ModuleDict(dict(self.heads)))
            write_tensors(folder / HEADS, {key: value.cpu().contiguous().numpy() for key, value in state.items()}, {})

    def header(self) -> dict[str, Any]:
        """As JSON; empty where there is nothing."""
        return {
            **({"models": 1 + len(self.classifiers)} if self.classifiers else {}),
            **({"heads": self.methods.canonical()} if self.heads else {}),
        }

    @classmethod
    def load(
        cls, folder: Path, header: Mapping[str, Any], classifier: Classifier, detector: Detector, state: State
    ) -> "Extras":
        """What `save` and `header` gave."""
        if "models" in header:
            return cls([Classifier.load(folder / member_name(number)) for number in range(1, header["models"])])
        if "heads" in header:
            return read_heads(folder / HEADS, ExtractSettings.parse(header["heads"]), classifier)
        if isinstance(detector, ModelDetector):
            device = next(classifier.network.parameters()).device
            return cls(detector=Fitted.restored(detector, Probe.of(classifier, device), state))
        return cls()


def member_name(number: int) -> str:
    """The file of a further model."""
    return f"model-{number}.safetensors"


def plain(classifier: Classifier, images: Pixels, device: torch.device) -> Features:
    """Logits and features alone."""
    logits, features = logits_and_features(classifier, images, device)
    return Features(logits, features, torch.full((len(logits),), -1))


def read_heads(path: Path, methods: ExtractSettings, classifier: Classifier) -> Extras:
    """The heads that `train` learned with a classifier."""
    named = methods.heads.methods
    if outside := [file for method in named for file in method.files()]:
        raise SynthoodError(f"{path}: a head of {outside[0]}, whose code a folder cannot hold; take another detector")
    width, classes = classifier.network.head.in_features, len(classifier.classes)
    return Extras(methods=methods, heads=read_terms(path, named, width, classes))


def through(detector: Fitted, classifier: Classifier, images: Images) -> Features:
    """Images that a detector of the model has seen; its confidence is an output."""
    found = []
    for batch, labels in batches_of(detector.method.probe, classifier, images):
        confidence = detector(batch)
        run = batch.plain
        found.append(Features(run.logits.float().cpu(), run.features.float().cpu(), labels, {CONFIDENCE: confidence}))
    return joined(found)


def joined(batches: Sequence[Features]) -> Features:
    """One batch after the other."""

    logits, features, labels = (
        torch.cat([getattr(one, name) for one in batches]) for name in ("logits", "features", "labels")
    )
    outputs = {name: torch.cat([one.outputs[name] for one in batches]) for name in batches[0].outputs}
    return Features(logits, features, labels, outputs)

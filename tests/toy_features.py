"""Features of a small classifier that tests of detectors share: four classes, twelve units, a head, and OOD beside."""

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.features import Features, Reference
from synthood.plugins import plugins

CLASSES, WIDTH, TEST = 4, 12, 200
OF_FEATURES = {
    kind: one
    for kind, one in plugins(Detector, "synthood.evaluation.detectors").items()
    if one.inputs and kind != "custom"
}
"""The detectors of features that ship, by kind."""
SMALL: dict[str, list[dict[str, object]]] = {
    "ash": [{"variant": variant, "percentile": 65.0} for variant in "bsp"],
    "cfood": [{"share": 1.0, "fraction": 0.02}],
    "cider": [{"k": 5}],
    "core": [{}, {"aligned": "head"}],
    "dice": [{"percentile": 60.0}],
    "energy": [{"temperature": 2.0}],
    "gen": [{"gamma": 0.1, "top": 3}],
    "good": [{"k": 5}],
    "knn": [{"k": 5}],
    "kpca": [{"variance": 0.7, "directions": 64}, {"kernel": "cosine", "variance": 0.7}],
    "lts": [{"share": 0.3}],
    "mc-dropout": [{"probability": 0.2, "passes": 50}],
    "nac": [{"enough": 20.0}],
    "nci": [{"alpha": 0.01}],
    "neco": [{"dimension": 4}, {"dimension": 4, "standardised": False}],
    "nnguide": [{"k": 5}],
    "openmax": [{"alpha": 3, "tail": 20}],
    "react": [{"percentile": 80.0}],
    "residual": [{"dimension": 6}],
    "scale": [{"percentile": 65.0}],
    "vim": [{"dimension": 6}],
    "vra": [{"low": 20.0, "high": 80.0}],
    "weiper": [{"repeats": 8, "bins": 20, "smoothing": 4}],
}
"""Hyperparameters by kind where the defaults do not suit these few samples and units."""


def each(reading: bool) -> list[Detector]:
    chosen = {kind: one for kind, one in OF_FEATURES.items() if ("outputs" in one.inputs) == reading}
    return [one(**values) for kind, one in chosen.items() for values in SMALL.get(kind, [{}])]


EVERY, READING = each(reading=False), each(reading=True)
"""Every detector of features, and those of trained heads' outputs, which the toy does not have."""


def name_of(detector: Detector) -> str:
    """Its kind, and a variant's name."""
    keys = ("kind", "variant", "kernel", "standardised", "aligned")
    return "-".join(str(getattr(detector, key)) for key in keys if hasattr(detector, key))


def part(count: int, seed: int, weight: Tensor, bias: Tensor, far: float = 0.0) -> Features:
    """Rectified features around a centre per class and in a plane mostly; `far` moves them out of it."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    centres = 3 * torch.eye(CLASSES, WIDTH) + 0.5
    noise = torch.randn((count, WIDTH), generator=random) * torch.linspace(0.8, 0.3, WIDTH)
    away = far * torch.rand((count, WIDTH), generator=random) * (torch.arange(WIDTH) >= CLASSES)
    features = (centres[labels] * (1 - far / 2) + noise + away).relu()
    return Features(F.linear(features, weight, bias), features, labels)


def toy_reference() -> Reference:
    random = torch.Generator().manual_seed(0)
    weight = torch.eye(CLASSES, WIDTH) + 0.1 * torch.randn((CLASSES, WIDTH), generator=random)
    bias = torch.tensor([0.3, -0.2, 0.1, 0.0])
    return Reference(part(400, 1, weight, bias), part(150, 2, weight, bias), weight, bias)


def joined(a: Features, b: Features) -> Features:
    pairs = ((a.logits, b.logits), (a.features, b.features), (a.labels, b.labels))
    return Features(*(torch.cat(pair) for pair in pairs))


def chosen(x: Features, index: Tensor) -> Features:
    return Features(x.logits[index], x.features[index], x.labels[index])


def with_logits(logits: Tensor) -> Features:
    return Features(logits, torch.zeros(len(logits), 2), torch.zeros(len(logits), dtype=torch.int64))


def with_features(features: Tensor, reference: Reference) -> Features:
    """Samples of label 0 with the head's logits."""
    logits = F.linear(features, reference.weight, reference.bias)
    return Features(logits, features, torch.zeros(len(features), dtype=torch.int64))

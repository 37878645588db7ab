"""Features of a small classifier that tests of detectors share: four classes, twelve units, a head, and OOD beside."""

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.distances import Gmm, Mds, Rmds
from synthood.evaluation.detectors.heads import Fdbd, GradNorm, Nci, She
from synthood.evaluation.detectors.histograms import Nac, WeiPer
from synthood.evaluation.detectors.logits import Energy, Entropy, Gen, Klm, Mls, Msp, OpenMax, Temperature
from synthood.evaluation.detectors.neighbours import Cfood, Knn, NnGuide, Relation
from synthood.evaluation.detectors.rectifiers import Ash, Dice, Lts, React, Scale, Vra
from synthood.evaluation.detectors.subspaces import Pnml, Residual, Vim
from synthood.evaluation.detectors.trained import Cider, Godin, Mcd, McDropout, RotPred, Vos
from synthood.evaluation.features import Features, Reference

CLASSES, WIDTH, TEST = 4, 12, 200
EVERY: list[Detector] = [
    Msp(),
    Mls(),
    Energy(temperature=2.0),
    Temperature(),
    Entropy(),
    Gen(gamma=0.1, top=3),
    Klm(),
    OpenMax(alpha=3, tail=20),
    GradNorm(),
    React(percentile=80.0),
    Vra(low=20.0, high=80.0),
    Ash(variant="b", percentile=65.0),
    Ash(variant="s", percentile=65.0),
    Ash(variant="p", percentile=65.0),
    Scale(percentile=65.0),
    Lts(share=0.3),
    Dice(percentile=60.0),
    She(),
    Nci(alpha=0.01),
    Fdbd(),
    Mds(),
    Rmds(),
    Gmm(),
    Residual(dimension=6),
    Vim(dimension=6),
    Pnml(),
    Knn(k=5),
    NnGuide(k=5),
    Relation(),
    Cfood(share=1.0, fraction=0.02),
    WeiPer(repeats=8, bins=20, smoothing=4),
    Nac(enough=20.0),
    McDropout(probability=0.2, passes=50),
]
READING: list[Detector] = [
    RotPred(),
    Vos(),
    Cider(k=5),
    Godin(),
    Mcd(),
]
"""Detectors of trained heads' outputs, which the toy does not have."""


def name_of(detector: Detector) -> str:
    """Its kind, and a variant's name."""
    return "-".join(str(getattr(detector, key)) for key in ("kind", "variant") if hasattr(detector, key))


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

"""Features of a small classifier that tests of detectors share: four classes, twelve units, a head, and OOD beside."""

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.evaluation import kinds, trained_kinds
from synthood.evaluation.features import Features, Reference

CLASSES, WIDTH, TEST = 4, 12, 200
EVERY: list[kinds.Hyperparameters] = [
    kinds.Msp(kind="msp"),
    kinds.Mls(kind="mls"),
    kinds.Energy(kind="energy", temperature=2.0),
    kinds.Temperature(kind="temperature"),
    kinds.Entropy(kind="entropy"),
    kinds.Gen(kind="gen", gamma=0.1, top=3),
    kinds.Klm(kind="klm"),
    kinds.OpenMax(kind="openmax", alpha=3, tail=20),
    kinds.GradNorm(kind="gradnorm"),
    kinds.React(kind="react", percentile=80.0),
    kinds.Vra(kind="vra", low=20.0, high=80.0),
    kinds.Ash(kind="ash", variant="b", percentile=65.0),
    kinds.Ash(kind="ash", variant="s", percentile=65.0),
    kinds.Ash(kind="ash", variant="p", percentile=65.0),
    kinds.Scale(kind="scale", percentile=65.0),
    kinds.Lts(kind="lts", share=0.3),
    kinds.Dice(kind="dice", percentile=60.0),
    kinds.She(kind="she"),
    kinds.Nci(kind="nci", alpha=0.01),
    kinds.Fdbd(kind="fdbd"),
    kinds.Mds(kind="mds"),
    kinds.Rmds(kind="rmds"),
    kinds.Gmm(kind="gmm"),
    kinds.Residual(kind="residual", dimension=6),
    kinds.Vim(kind="vim", dimension=6),
    kinds.Pnml(kind="pnml"),
    kinds.Knn(kind="knn", k=5),
    kinds.NnGuide(kind="nnguide", k=5),
    kinds.Relation(kind="relation"),
    kinds.Cfood(kind="cfood", share=1.0, fraction=0.02),
    kinds.WeiPer(kind="weiper", repeats=8, bins=20, smoothing=4),
    kinds.Nac(kind="nac", enough=20.0),
    trained_kinds.McDropout(kind="mc-dropout", probability=0.2, passes=50),
]
READING: list[kinds.Hyperparameters] = [
    trained_kinds.RotPred(kind="rotpred"),
    trained_kinds.Vos(kind="vos"),
    trained_kinds.Cider(kind="cider", k=5),
    trained_kinds.Godin(kind="godin"),
    trained_kinds.Mcd(kind="mcd"),
]
"""Detectors of trained heads' outputs, which the toy does not have."""


def name_of(detector: kinds.Hyperparameters) -> str:
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

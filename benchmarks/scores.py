"""Every detector against pytorch-ood and against forward passes: python benchmarks/scores.py

Random rectified features of the size of CIFAR-10's evaluation: a bank of 50,000, 163,000 test samples, 512 features, 10
classes. First the whole of a `score` job, with the grids that OpenOOD searches on 2,000 validation samples, and
metrics.
Then every detector that pytorch-ood has, alone and fitted from nothing; those with neighbours on 10,000 test samples.
Bars:

- 10 minutes and 6 GiB for the whole job;
- one forward pass (ResNet-18, measured on 2 % of the images) and the job 25 times as fast as a pass per detector;
- without neighbours 5 times as fast as pytorch-ood in the geometric mean, and no detector slower than 0.95;
- scores in pytorch-ood's order (Spearman's correlation 0.9999), but for `OTHERWISE`, which count for no bar.
"""

import resource
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from bench import options, run
from compare import Measurement, Turns, figure, judged, measured, optional, paired
from machine import limit, operations
from peers import oracles, predict
from scipy.stats import spearmanr
from torch import Tensor

from synthood import detectors
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.features import Features, Reference, parts
from synthood.evaluation.ranking import Ranking
from synthood.evaluation.scoring import together
from synthood.evaluation.search import Validation, fitted
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier, logits_and_features

MINUTES, GIBIBYTES, PASSES, FASTER, NONE_BELOW, ORDER = 10.0, 6.0, 25.0, 5.0, 0.95, 0.9999
SAMPLE = 50
"""The forward pass is measured on so small a part of the images."""
KINDS = {name: kind for name, kind in detectors.KINDS.items() if kind.reads is None}
"""Detectors of features alone."""
NEIGHBOURS, FEW = ("knn", "nnguide"), 10_000
OTHERWISE = ("temperature", "vra", "gmm")
"""Where pytorch-ood does something else, as docs/detectors.md says."""
SETS = 9
"""OOD sets of the size of the ID test set, roughly."""


def data(bank: int, test: int, width: int, classes: int) -> tuple[Reference, Features, Features]:
    """Reference, OOD validation and test features around a centre per class, labels as drawn, so that some are wrong.

    A tenth of the test samples are ID; OOD samples lie around other centres.
    """
    random = torch.Generator().manual_seed(0)
    known, other = (
        2 * torch.rand((classes, width), generator=random) * (torch.rand((classes, width), generator=random) < 0.1)
        for _ in range(2)
    )
    weight, bias = F.normalize(known), torch.zeros(classes)

    def part(count: int, ids: int) -> Features:
        labels = torch.randint(classes, (count,), generator=random)
        centres = torch.where(torch.arange(count)[:, None] < ids, known[labels], (known[labels] + other[labels]) / 2)
        features = (centres + 0.3 * torch.randn((count, width), generator=random)).relu()
        return Features(F.linear(features, weight, bias), features, labels)

    return Reference(part(bank, bank), part(1000, 1000), weight, bias), part(1000, 0), part(test, test // (SETS + 1))


def hyperparameters(name: str, width: int, searched: bool) -> Detector:
    """A detector as OpenOOD searches it, or with single values."""
    values: dict[str, Any] = {"dimension": width // 2} if name in ("vim", "residual") else {}
    grid = KINDS[name].grid if searched else {}
    return KINDS[name].model_validate({"kind": name, **values, **grid})


def whole_job(reference: Reference, ood: Features, test: Features) -> None:
    """Grids on validation data, scores of the test samples, and their metrics."""
    fresh = Reference(reference.train, reference.val, reference.weight, reference.bias)
    asked = {name: hyperparameters(name, reference.weight.shape[1], True) for name in KINDS}
    scores, _ = fitted(asked, Validation(fresh, ood))
    ids = len(test) // (SETS + 1)
    for confidence in together(scores, test).values():
        for place in np.array_split(np.arange(ids, len(test)), SETS):
            Ranking(confidence[:ids].numpy(), confidence[torch.from_numpy(place)].numpy()).metrics()


def forward_pass(images: int) -> Callable[[], Any]:
    """ResNet-18 on so many images of 32 pixels, as `extract` runs it."""
    network = Network(name="resnet18", width=64)
    classifier = Classifier(network, list("0123456789"), [0.5] * 3, [0.25] * 3, build(network, 10, seed=0))
    pixels = np.random.default_rng(0).integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    return lambda: logits_and_features(classifier, pixels, torch.device("cpu"))


def job(reference: Reference, ood: Features, test: Features, turns: int, seconds: float) -> Iterator[Measurement]:
    """The whole job, against its bars and against forward passes, in the same turns."""
    images = (len(reference.train) + len(test)) // SAMPLE
    passing = forward_pass(images)
    found = paired(partial(whole_job, reference, ood, test), passing, turns, seconds)
    scoring, one_pass = found.seconds[:, 0], SAMPLE * found.seconds[:, 1]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

    def against(ours: Any, theirs: Any) -> Turns:
        return replace(found, seconds=np.stack(np.broadcast_arrays(ours, theirs), axis=1))

    what = f"{len(KINDS)} detectors, grids and metrics"
    yield judged(what, against(scoring, 60 * MINUTES), "at most", bar=1.0)
    yield figure(f"{what}: memory with the data", memory, GIBIBYTES, "GiB")
    yield judged(
        "one forward pass and these",
        against(one_pass + scoring, len(KINDS) * one_pass),
        "a pass of ResNet-18 per detector",
        bar=PASSES,
        limit=limit(operations(passing) * SAMPLE),
    )


def alone(name: str, reference: Reference, test: Features) -> Tensor:
    """A detector by itself, no statistics made before."""
    fresh = Reference(reference.train, reference.val, reference.weight, reference.bias)
    score = hyperparameters(name, reference.weight.shape[1], False).fit(fresh)
    return together({name: score}, test)[name]


def of_peer(make: Callable[[], Any], takes: str, test: Features) -> Tensor:
    """A detector of pytorch-ood."""
    return -predict(make(), takes, test)


def against(reference: Reference, test: Features, turns: int, seconds: float) -> Iterator[Measurement]:
    """Every detector that pytorch-ood has, then the geometric mean and the least agreement."""
    counted, worst = list[Measurement](), (0.0, "")
    for name, (make, takes) in oracles(reference).items():
        few = next(iter(parts(test, FEW)))
        seen = few if name in NEIGHBOURS else test
        disagreement = 1 - spearmanr(alone(name, reference, few), of_peer(make, takes, few)).statistic
        ours = partial(alone, name, reference, seen)
        moved = sum(getattr(seen, part).nbytes for part in KINDS[name].inputs if part != "head")
        free = name in NEIGHBOURS or name in OTHERWISE
        row = measured(
            name + " (pytorch-ood's differs)" * (name in OTHERWISE),
            ours,
            "pytorch-ood",
            partial(of_peer, make, takes, seen),
            turns,
            seconds,
            bar=None if free else NONE_BELOW,
            limit=limit(operations(ours), moved),
        )
        yield row
        counted += [] if free else [row]
        worst = max(worst, (0.0 if name in OTHERWISE else disagreement, name))
    yield figure(f"least agreement with pytorch-ood: {worst[1]}", worst[0], 1 - ORDER, "1 - correlation")
    logs = np.log([[row.ratio, row.low, row.high] for row in counted])
    ratio, low, high = map(float, np.exp(logs.mean(0)))
    yield Measurement(
        f"geometric mean of {len(counted)} detectors without neighbours",
        peer="pytorch-ood",
        ratio=ratio,
        low=low,
        high=high,
        turns=len(counted),
        bar=FASTER,
        others=max(row.others for row in counted),
    )


def rows(given: Namespace) -> Iterator[Measurement]:
    share, turns, seconds = (40, 5, 0.4) if given.quick else (1, 15, 12.0)
    reference, ood, test = data(50_000 // share, 163_000 // share, 512, 10)
    yield from job(reference, ood, test, 3, 30.0)
    if optional("pytorch_ood"):
        yield from against(reference, test, turns, seconds)
    else:
        yield measured("geometric mean", lambda: None, "pytorch-ood", None, 1, 0, bar=FASTER)


if __name__ == "__main__":
    sys.exit(run("scores", rows, options(__doc__).parse_args()))

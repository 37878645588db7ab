"""Seconds and memory of every detector, beside pytorch-ood: python benchmarks/scores.py [--small]

Random rectified features of the size of CIFAR-10's evaluation: a bank of 50,000, 163,000 test samples, 512 features, 10
classes. Bars: all detectors together within 10 minutes and 6 GiB, measured before pytorch-ood's detectors run on the
same data; those that it lacks, or that need the network's gradients there, have no figure beside them. Exit code 1
where a bar is not met at full size.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.detectors import KINDS
from synthood.evaluation.detectors import METHODS, Score, together
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.metrics import Ranking, ood_metrics

MINUTES, GIBIBYTES = 10.0, 6.0


def data(bank: int, test: int, width: int, classes: int) -> tuple[Reference, Features]:
    """Features around a centre per class; labels as drawn, so that some are wrong."""
    random = torch.Generator().manual_seed(0)
    centres = (
        2 * torch.rand((classes, width), generator=random) * (torch.rand((classes, width), generator=random) < 0.1)
    )
    weight, bias = F.normalize(centres), torch.zeros(classes)

    def part(count: int) -> Features:
        labels = torch.randint(classes, (count,), generator=random)
        features = (centres[labels] + 0.3 * torch.randn((count, width), generator=random)).relu()
        return Features(F.linear(features, weight, bias), features, labels)

    return Reference(part(bank), part(1000), weight, bias), part(test)


def oracles(reference: Reference) -> dict[str, tuple[Callable[[], Any], str]]:
    """pytorch-ood's detectors by our names: how one is fitted, and what its prediction takes."""
    from pytorch_ood import detector as theirs

    train, val = reference.train, reference.val
    classes, width = reference.weight.shape
    head = nn.Linear(width, classes).requires_grad_(False)
    head.weight.data, head.bias.data = reference.weight, reference.bias

    def on_maps(x: Tensor) -> Any:
        return head(x.flatten(1))

    def on_train(detector: Any) -> Callable[[], Any]:
        return lambda: detector.fit_features(train.features, train.labels)

    return {
        "msp": (lambda: theirs.MaxSoftmax(None), "logits"),
        "mls": (lambda: theirs.MaxLogit(None), "logits"),
        "energy": (lambda: theirs.EnergyBased(None), "logits"),
        "temperature": (lambda: theirs.TemperatureScaling(None).fit_logits(val.logits, val.labels), "logits"),
        "entropy": (lambda: theirs.Entropy(None), "logits"),
        "gen": (lambda: theirs.GEN(None), "logits"),
        "klm": (lambda: theirs.KLMatching(None).fit_logits(val.logits, val.labels), "logits"),
        "openmax": (lambda: theirs.OpenMax(None, 20, 3).fit_logits(train.logits, train.labels), "logits"),
        "react": (lambda: theirs.ReAct(None, head).fit_feature_maps(val.features, val.labels), "feature_maps"),
        "vra": (lambda: theirs.VRA(None, head).fit_feature_maps(val.features, val.labels), "feature_maps"),
        "ash": (lambda: theirs.ASH(None, on_maps, "ash-b", 0.9), "maps"),
        "scale": (lambda: theirs.SCALE(None, on_maps, 0.85), "maps"),
        "lts": (lambda: theirs.LTS(None, head), "features"),
        "dice": (on_train(theirs.DICE(None, head.weight, head.bias, 0.9)), "features"),
        "she": (on_train(theirs.SHE(None, head)), "features"),
        "nci": (on_train(theirs.NCI(None, head, 1e-4)), "features"),
        "fdbd": (on_train(theirs.fDBD(None, head)), "features"),
        "mds": (on_train(theirs.Mahalanobis(None)), "features"),
        "rmds": (on_train(theirs.RMD(None)), "features"),
        "gmm": (on_train(theirs.GMM(None)), "features"),
        "vim": (on_train(theirs.ViM(None, train.features.shape[1] // 2, head.weight, head.bias)), "features"),
        "pnml": (on_train(theirs.PNML(None, head)), "features"),
        "knn": (on_train(theirs.KNN(None, k=50)), "features"),
        "nnguide": (on_train(theirs.NNGuide(None, head)), "features"),
    }


def predict(detector: Any, kind: str, test: Features) -> Tensor:
    """Outlier scores by pytorch-ood, in batches, as its loaders give them."""
    outputs = []
    for logits, features in zip(test.logits.split(4096), test.features.split(4096), strict=True):
        if kind == "logits":
            outputs.append(detector.predict_logits(logits))
        elif kind == "features":
            outputs.append(detector.predict_features(features))
        else:
            outputs.append(detector.predict_feature_maps(features[:, :, None, None] if kind == "maps" else features))
    return torch.cat(outputs)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a tenth of the bank and of the test set")
    parser.add_argument("--bank", type=int, default=50_000)
    parser.add_argument("--test", type=int, default=163_000)
    parser.add_argument("--width", type=int, default=512, help="features D")
    parser.add_argument("--classes", type=int, default=10, help="classes C")
    parser.add_argument("--alone", action="store_true", help="without pytorch-ood")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    share = 10 if arguments.small else 1
    reference, test = data(arguments.bank // share, arguments.test // share, arguments.width, arguments.classes)
    scores: dict[str, Score] = {}
    own: dict[str, tuple[float, float]] = {}
    for name, kind in KINDS.items():
        values = {"dimension": arguments.width // 2} if name in ("vim", "residual") else {}
        fit, scores[name] = seconds(partial(METHODS[kind].fit, reference, **values))
        own[name] = fit, seconds(partial(together, {name: scores[name]}, test))[0]
    shared, found = seconds(lambda: together(scores, test))
    confidence, count = found["knn"].numpy(), len(test) // 18
    metrics, _ = seconds(lambda: ood_metrics(Ranking(confidence[:count], confidence[count:]).sweep()))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size = f"bank {len(reference.train)}, test {len(test)}, D {arguments.width}, C {arguments.classes}"
    print(f"{size}, {arguments.threads} threads; seconds")
    print(f"{'detector':<12}{'fit':>9}{'score':>9}{'pytorch-ood: fit':>18}{'score':>9}{'theirs / ours':>15}")
    peers = {} if arguments.alone else oracles(reference)
    for name, (fit, score) in own.items():
        beside = ""
        if name in peers:
            make, takes = peers[name]
            their_fit, detector = seconds(make)
            their_score, _ = seconds(partial(predict, detector, takes, test))
            beside = f"{their_fit:>18.3f}{their_score:>9.3f}{(their_fit + their_score) / (fit + score):>15.2f}"
        print(f"{name:<12}{fit:>9.3f}{score:>9.3f}{beside}", flush=True)
    fits, alone = (sum(times) for times in zip(*own.values(), strict=True))
    print(f"each detector by itself        {fits + alone:>10.1f} s")
    print(f"all together, the bank shared  {fits + shared:>10.1f} s, {alone / shared:.2f} x as fast in scoring")
    print(f"metrics of one detector        {metrics:>10.3f} s")
    print(f"largest memory                 {memory:>10.2f} GiB")
    met = fits + shared <= 60 * MINUTES and memory <= GIBIBYTES
    if not arguments.small:
        print(f"<= {MINUTES:.0f} minutes and {GIBIBYTES:.0f} GiB: {'met' if met else 'NOT MET'}")
    sys.exit(not (met or arguments.small))


if __name__ == "__main__":
    main()

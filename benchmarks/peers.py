"""pytorch-ood's detectors, which benchmarks/scores.py measures ours beside."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from synthood.evaluation.features import Features, Reference


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
        "mcm": (lambda: theirs.MCM(None, head.weight), "features"),
        "gradnorm": (lambda: theirs.GradNorm(head, lambda name: name == "weight"), "inputs of the head"),
        "grad-uncertainty": (lambda: theirs.GradUncertainty(head), "inputs of the head"),
    }


def predict(detector: Any, kind: str, test: Features) -> Tensor:
    """Outlier scores by pytorch-ood, in batches, as its loaders give them."""
    outputs = []
    for logits, features in zip(test.logits.split(4096), test.features.split(4096), strict=True):
        if kind == "logits":
            outputs.append(detector.predict_logits(logits))
        elif kind == "features":
            outputs.append(detector.predict_features(features))
        elif kind == "inputs of the head":
            outputs.append(detector.predict(features))
        else:
            outputs.append(detector.predict_feature_maps(features[:, :, None, None] if kind == "maps" else features))
    return torch.cat(outputs).detach()

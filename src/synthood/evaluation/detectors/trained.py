"""Detectors that read what a recipe trained beside the classifier, or trained it with: heads' outputs, dropout."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.common.seeds import generator
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Score
from synthood.evaluation.detectors.neighbours import knn
from synthood.evaluation.features import Features, Reference


def output(x: Features, name: str) -> Tensor:
    """The output [N,...] of the head that a recipe trains under the key `name`."""
    if name not in x.outputs:
        raise SynthoodError(
            f"these features have no output of a head `{name}`; extract them from a recipe with that key"
        )
    return x.outputs[name]


def rotpred(reference: Reference) -> Score:
    """KL(u || p) minus the mean cross-entropy of the four turns (arXiv 1906.12340, section 4), u uniform.

    Both in bits, as in OpenOOD; it changes no order.
    """
    del reference

    def score(x: Features) -> Tensor:
        classes = x.logits.shape[1]
        divergence = -math.log(classes) - x.logits.log_softmax(1).mean(1)
        return (divergence - output(x, "rotation").mean(1)) / math.log(2)

    return score


def vos(reference: Reference) -> Score:
    """Log odds of ID by the logistic regression on the weighted energy that VOS trains (arXiv 2202.01197, eq. 5)."""
    del reference
    return lambda x: output(x, "virtual_outliers")


def cider(reference: Reference, k: int = 50) -> Score:
    """KNN on the normalised projection that SupCon or CIDER trains (arXiv 2203.04450, section 3.3)."""

    def projected(x: Features) -> Features:
        return Features(x.logits, output(x, "contrastive"), x.labels)

    nearest = knn(Reference(projected(reference.train), reference.val, reference.weight, reference.bias), k)
    return lambda x: nearest(projected(x))


def godin(reference: Reference, score: str = "h") -> Score:
    """max_i h_i(x), or g(x) (arXiv 2002.11297, section 3.1); without the paper's perturbation of inputs."""
    del reference
    return lambda x: output(x, "godin")[:, 0 if score == "h" else 1]


def mcd(reference: Reference) -> Score:
    """-|p_1 - p_2|_1 of the posteriors of both last layers (arXiv 1908.04951, section 3.4)."""
    del reference
    return lambda x: -(x.logits.softmax(1) - output(x, "discrepancy").softmax(1)).abs().sum(1)


def mc_dropout(reference: Reference, probability: float | None = None, passes: int = 5) -> Score:
    """max_c of the mean softmax over passes of the last layer, features dropped (Gal and Ghahramani, ICML 2016).

    Exact for networks whose dropout stands before the last layer, as this package's. Each pass drops the same units
    of every sample, so a score depends neither on the order nor on the batch.
    """
    if probability is None:
        raise SynthoodError("mc-dropout: probability is that of the recipe's dropout; give one outside a workflow")
    random = generator(0, "mc-dropout", passes)
    width = reference.weight.shape[1]
    masks = (torch.rand((passes, width), generator=random) >= probability).float() / (1 - probability)

    def score(x: Features) -> Tensor:
        each = (F.linear(x.features * mask, reference.weight, reference.bias).softmax(1) for mask in masks)
        return torch.stack(list(each)).mean(0).amax(1)

    return score

"""Detectors that look at logits alone, closed forms but for three fitted ones."""

import math

import torch
from torch import Tensor

from synthood.evaluation.detectors.base import TINY, Score, at_most, class_means
from synthood.evaluation.features import Reference
from synthood.evaluation.moments import by_pieces

STEPS = 60
"""Halvings of a bracket that double precision can tell apart."""
SMALLEST = torch.finfo(torch.float32).tiny
TEMPERATURES = (0.25, 20.0)


def msp(reference: Reference) -> Score:
    """max_c p_c (arXiv 1610.02136, section 2)."""
    return lambda x: x.logits.softmax(1).amax(1)


def mls(reference: Reference) -> Score:
    """max_c l_c (arXiv 1911.11132)."""
    return lambda x: x.logits.amax(1)


def energy(reference: Reference, temperature: float = 1.0) -> Score:
    """T log sum_c exp(l_c / T) (arXiv 2010.03759, equation 4, negated)."""
    if temperature == 1.0:
        return lambda x: x.logits.logsumexp(1)
    return lambda x: temperature * (x.logits / temperature).logsumexp(1)


def entropy(reference: Reference) -> Score:
    """sum_c p_c log p_c (arXiv 2012.06575, negated)."""

    def score(logits: Tensor) -> Tensor:
        logs = logits.log_softmax(1)
        return (logs.exp() * logs).sum(1)

    return lambda x: score(x.logits)


def gen(reference: Reference, gamma: float = 0.1, top: int | None = None) -> Score:
    """-sum over the `top` largest p_c of (p_c (1 - p_c))^gamma (Liu, Lochman, Zach, CVPR 2023)."""
    classes = reference.weight.shape[0]
    if top is not None:
        at_most("gen: top", top, classes, "the number of classes")

    def score(logits: Tensor) -> Tensor:
        # Of sure predictions 1 - p loses all its digits, which the sum of the others' odds keeps
        largest, likeliest = logits.max(1, keepdim=True)
        log_odds = logits - largest
        odds = log_odds.exp().scatter_(1, likeliest, 0.0)
        others = odds.sum(1, keepdim=True)
        total = 1 + others
        # The odds of all other classes than each, over whose total 1 - p is them
        rest = torch.sub(total, odds, out=odds).scatter_(1, likeliest, others.clamp(min=SMALLEST))
        products = rest.log_().add_(log_odds.sub_(2 * total.log())).mul_(gamma).exp_()
        if top is not None and top < classes:
            products = products.gather(1, log_odds.topk(top).indices)
        return -products.sum(1)

    return lambda x: score(x.logits)


def temperature(reference: Reference) -> Score:
    """log p / (1 - p), p = max_c softmax(l / T)_c, T of least cross-entropy on ID validation, within 0.25 to 20.

    arXiv 1706.04599. The loss is convex in 1 / T, so its slope has one root; validation data without errors have none
    and take the bound. Odds keep the order of p where a low T rounds p itself to one.
    """
    logits, labels = reference.val.logits.double(), reference.val.labels
    own = logits.gather(1, labels[:, None])[:, 0].mean()
    low, high = (1 / bound for bound in reversed(TEMPERATURES))
    for _ in range(STEPS):
        middle = math.sqrt(low * high)
        slope = ((logits * middle).softmax(1) * logits).sum(1).mean() - own
        low, high = (low, middle) if slope > 0 else (middle, high)
    found = 1 / middle

    def score(logits: Tensor) -> Tensor:
        ordered = (logits / found).sort(1, descending=True).values
        return ordered[:, 0] - ordered[:, 1:].logsumexp(1)

    return lambda x: score(x.logits)


def klm(reference: Reference) -> Score:
    """-min_k KL(p || d_k), d_k the mean p of ID validation samples with prediction k (arXiv 1911.11132).

    Classes that are never predicted have no d_k; OpenOOD's one-hot for them is infinitely far from every softmax.
    """
    logs = reference.val.logits.double().log_softmax(1)
    predicted = logs.argmax(1)
    means = torch.stack(
        [logs[predicted == k].logsumexp(0) - math.log(int((predicted == k).sum())) for k in predicted.unique()]
    )

    def score(logits: Tensor) -> Tensor:
        own = logits.double().log_softmax(1)
        p = own.exp()
        return -((p * own).sum(1, keepdim=True) - p @ means.T).amin(1).float()

    return lambda x: score(x.logits)


def openmax(reference: Reference, alpha: int = 3, tail: int = 20) -> Score:
    """-p_unknown after the `alpha` largest logits lose what an extreme distance takes (arXiv 1511.06233, algorithm 2).

    Distances are Euclidean, from the mean logits of a class. The released code fits a Weibull law to the `tail` largest
    after adding 10,000, which is the law of Gumbel to four digits: 1 - exp(-exp((d - u) / b)).
    """
    classes = reference.weight.shape[0]
    at_most("openmax: alpha", alpha, classes, "the number of classes")
    train = reference.train
    predictions = train.logits.argmax(1)
    means = class_means(train.logits, train.labels, predictions, classes).float()
    own = by_pieces(lambda place, rows: (rows - means[train.labels[place]]).norm(dim=1), train.logits)
    right = train.labels == predictions
    fitted = []
    for label in range(classes):
        chosen = own[(train.labels == label) & right]
        fitted.append(gumbel((chosen if len(chosen) else own[train.labels == label]).double().sort().values[-tail:]))
    place, spread = (means.new_tensor(values) for values in zip(*fitted, strict=True))
    weights = (alpha - torch.arange(alpha, device=means.device)) / alpha

    def score(logits: Tensor) -> Tensor:
        ranked = logits.topk(alpha).indices
        distances = torch.cdist(logits, means, compute_mode="donot_use_mm_for_euclid_dist")
        far = -torch.expm1(-((distances - place) / spread).clamp(max=80).exp())
        lost = torch.zeros_like(logits).scatter_(1, ranked, far.gather(1, ranked) * weights)
        unknown = (logits * lost).sum(1, keepdim=True)
        return -torch.cat([unknown, logits * (1 - lost)], 1).softmax(1)[:, 0]

    return lambda x: score(x.logits)


def gumbel(values: Tensor) -> tuple[float, float]:
    """Place u and spread b of greatest likelihood for minima of Gumbel's law, by halving; values sorted [n]."""
    centred = values - values[-1]
    low, high = 0.0, float(-centred.mean())
    for _ in range(STEPS):
        spread = (low + high) / 2
        if spread <= TINY:
            break
        shares = (centred / spread).softmax(0)
        low, high = (spread, high) if (shares @ centred) - centred.mean() > spread else (low, spread)
    spread = max(high, 1e-6 * max(float(values[-1]), 1.0))
    place = float(values[-1]) + spread * float((centred / spread).exp().mean().log())
    return place, spread

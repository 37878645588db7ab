"""Detectors that look at logits alone, closed forms but for three fitted ones."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Count, Positive
from synthood.evaluation.detectors.base import GRID, TINY, Detector, Grids, Score, State, at_most, class_means
from synthood.evaluation.detectors.odds import FARTHEST, Odds, exp_, log_odds
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import by_pieces

STEPS = 60
"""Halvings of a bracket that double precision can tell apart."""
SMALLEST = 2.0**-126
"""The smallest normal float32."""
TEMPERATURES = (0.25, 20.0)


class Msp(Detector):
    """Maximum softmax probability, as its log odds.

    log(p / (1 - p)), p = max_c p_c (section 2).

    The order is that of p itself, which float32 rounds to one where the largest logit is 17 above all others.
    """

    kind: Literal["msp"] = "msp"

    paper = "arXiv 1610.02136"
    compared = "equal"
    inputs = ("logits",)

    def confidence(self, x: Features, state: State) -> Tensor:
        return log_odds(x.logits)


class Mls(Detector):
    """Maximum logit.

    max_c l_c.
    """

    kind: Literal["mls"] = "mls"

    paper = "arXiv 1911.11132"
    compared = "equal"
    inputs = ("logits",)

    def confidence(self, x: Features, state: State) -> Tensor:
        return x.logits.amax(1)


class Energy(Detector):
    """T logsumexp(logits / T).

    T log sum_c exp(l_c / T) (equation 4, negated).
    """

    kind: Literal["energy"] = "energy"
    temperature: Annotated[Positive, GRID, Field(description="divides the logits")] = 1.0

    paper = "arXiv 2010.03759"
    compared = "equal"
    inputs = ("logits",)

    def confidence(self, x: Features, state: State) -> Tensor:
        if self.temperature == 1.0:
            return x.logits.logsumexp(1)
        return self.temperature * (x.logits / self.temperature).logsumexp(1)


class Entropy(Detector):
    """Minus the entropy of the softmax, as its log.

    -log(-sum_c p_c log p_c).

    The order is that of the entropy itself, which float32 cannot hold where predictions are very sure.
    """

    kind: Literal["entropy"] = "entropy"

    paper = "arXiv 2012.06575"
    compared = "equal in order"
    inputs = ("logits",)

    def confidence(self, x: Features, state: State) -> Tensor:
        odds = Odds.of(x.logits)
        # Over the sum of the others' odds o: log(1 + o) / o + g / (1 + o), g the mean gap of the others by their odds
        others, apart = odds.rest.exp(), odds.apart.clamp(max=FARTHEST)
        gap = (odds.shares * apart).sum(1, keepdim=True) * (-odds.nearest - odds.rest).exp()
        first = (others.log1p() / others.clamp(min=SMALLEST)).where(others > SMALLEST, 1.0)
        return -(odds.rest + (first + gap / (1 + others)).log())[:, 0]


class Gen(Detector):
    """Minus the generalised entropy of the largest probabilities, as a log.

    -log(G / top) / gamma, G = sum over the `top` largest p_c of (p_c (1 - p_c))^gamma.

    The order is that of -G, the paper's score, which float32 cannot hold for large gamma.
    """

    kind: Literal["gen"] = "gen"
    gamma: Annotated[Positive, GRID, Field(description="exponent of p (1 - p)")] = 0.1
    top: Annotated[Count | None, GRID, Field(description="classes that count, at most C; null: all")] = None

    paper = "Liu, Lochman, Zach, CVPR 2023"
    compared = "equal in order"
    inputs = ("logits",)
    grid: ClassVar[Grids] = {"gamma": [0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0], "top": [10, 50, 100, 200, 500, 1000]}
    limited_by = {"top": "classes"}

    def state(self, reference: Reference) -> State:
        if self.top is not None:
            at_most("gen: top", self.top, reference.weight.shape[0], "the number of classes")
        return {}

    def confidence(self, x: Features, state: State) -> Tensor:
        odds = Odds.of(x.logits)
        others, shares, apart, equal = odds.rest.exp(), odds.shares, odds.apart, odds.equal
        top = x.logits.shape[1] if self.top is None else self.top
        if top < x.logits.shape[1]:
            # The likeliest classes come first, and leave so many places to those apart
            apart, chosen = apart.topk(top, largest=False)
            equal = equal.clamp(max=top)
            apart = apart.where(torch.arange(top, device=apart.device) < top - equal, torch.inf)
            shares = shares.gather(1, chosen)
        # log p_c (1 - p_c): the class's odds times those of all other classes, over the squared total of odds. It is
        # largest for the likeliest, since (p - q) (1 - p - q) >= 0.
        own = shares.mul_((-odds.nearest).exp())
        lower = torch.sub(1 + others, own, out=own).log_().sub_(apart).sub_(odds.rest).mul_(self.gamma)
        total = exp_(lower).sum(1, keepdim=True) + equal
        return (2 * others.log1p() - odds.rest - (total / top).log() / self.gamma)[:, 0]


class Temperature(Detector):
    """Log odds of the likeliest class, at the temperature that calibrates ID validation data.

    log p / (1 - p), p = max_c softmax(l / T)_c, T of least cross-entropy on ID validation, within 0.25 to 20.

    The loss is convex in 1 / T, so its slope has one root; validation data without errors have none
    and take the bound. Odds keep the order of p where a low T rounds p itself to one.
    """

    kind: Literal["temperature"] = "temperature"

    paper = "arXiv 1706.04599"
    compared = "stops short of the least loss"
    inputs = ("logits",)
    fitted_on = ("val",)
    labelled = True

    def state(self, reference: Reference) -> State:
        logits, labels = reference.val.logits.double(), reference.val.labels
        own = logits.gather(1, labels[:, None])[:, 0].mean()
        low, high = (1 / bound for bound in reversed(TEMPERATURES))
        for _ in range(STEPS):
            middle = math.sqrt(low * high)
            slope = ((logits * middle).softmax(1) * logits).sum(1).mean() - own
            low, high = (low, middle) if slope > 0 else (middle, high)
        return {"temperature": torch.tensor(1 / middle, dtype=torch.float64)}

    def scorer(self, state: State) -> Score:
        temperature = float(state["temperature"])
        return Score(lambda x: log_odds(x.logits / temperature))


class Klm(Detector):
    """Minus the divergence from the nearest mean of ID validation probabilities.

    -min_k KL(p || d_k), d_k the mean p of ID validation samples with prediction k.

    Classes that are never predicted have no d_k; OpenOOD's one-hot for them is infinitely far from every softmax. The
    score of a sure prediction k is -KL(one-hot || d_k) in the limit, so that very sure samples tie, class by class.
    """

    kind: Literal["klm"] = "klm"

    paper = "arXiv 1911.11132"
    compared = "equal"
    inputs = ("logits",)
    fitted_on = ("val",)

    def state(self, reference: Reference) -> State:
        logs = reference.val.logits.double().log_softmax(1)
        predicted = logs.argmax(1)
        means = [logs[predicted == k].logsumexp(0) - math.log(int((predicted == k).sum())) for k in predicted.unique()]
        return {"means": torch.stack(means)}

    def confidence(self, x: Features, state: State) -> Tensor:
        logs = x.logits.double().log_softmax(1)
        p = logs.exp()
        return -((p * logs).sum(1, keepdim=True) - p @ state["means"].T).amin(1).float()


class OpenMax(Detector):
    """Log odds against an unknown class, from extreme distances to class means.

    log((1 - p) / p), p the probability of unknown after the `alpha` largest logits lose what an extreme distance takes
    (algorithm 2). The order is that of -p, which float32 rounds near 0 and 1.

    Distances are Euclidean, from the mean logits of a class. The released code fits a Weibull law to the `tail` largest
    after adding 10,000, which is the law of Gumbel to four digits: 1 - exp(-exp((d - u) / b)).
    """

    kind: Literal["openmax"] = "openmax"
    alpha: Annotated[Count, GRID, Field(description="classes whose logits are revised, at most C")] = 3
    tail: Annotated[Count, GRID, Field(description="largest distances per class that are fitted")] = 20

    paper = "arXiv 1511.06233"
    inputs = ("logits",)
    fitted_on = ("train",)
    labelled = True
    limited_by = {"alpha": "classes"}

    def state(self, reference: Reference) -> State:
        classes = reference.weight.shape[0]
        at_most("openmax: alpha", self.alpha, classes, "the number of classes")
        train = reference.train
        predictions = train.logits.argmax(1)
        means = class_means(train.logits, train.labels, predictions, classes).float()
        own = by_pieces(lambda place, rows: (rows - means[train.labels[place]]).norm(dim=1), train.logits)
        right = train.labels == predictions
        fitted = []
        for label in range(classes):
            chosen = own[(train.labels == label) & right]
            fitted.append(
                gumbel((chosen if len(chosen) else own[train.labels == label]).double().sort().values[-self.tail :])
            )
        place, spread = (means.new_tensor(values) for values in zip(*fitted, strict=True))
        return {"means": means, "place": place, "spread": spread}

    def scorer(self, state: State) -> Score:
        means, place, spread = state["means"], state["place"], state["spread"]
        weights = (self.alpha - torch.arange(self.alpha, device=means.device)) / self.alpha

        def score(x: Features) -> Tensor:
            logits = x.logits
            ranked = logits.topk(self.alpha).indices
            distances = torch.cdist(logits, means, compute_mode="donot_use_mm_for_euclid_dist")
            far = -torch.expm1(-((distances - place) / spread).clamp(max=80).exp())
            lost = torch.zeros_like(logits).scatter_(1, ranked, far.gather(1, ranked) * weights)
            unknown = (logits * lost).sum(1, keepdim=True)
            return (logits * (1 - lost)).logsumexp(1) - unknown[:, 0]

        return Score(score)


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

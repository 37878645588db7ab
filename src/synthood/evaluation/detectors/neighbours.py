"""Detectors that compare a feature with a bank of training features."""

from __future__ import annotations

import functools
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Count, Fraction, Positive
from synthood.evaluation import scoring
from synthood.evaluation.detectors.base import GRID, Detector, Grids, Score, State, at_most
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import by_pieces, pieces
from synthood.evaluation.scoring import BankScore

STRIDE = 8
"""Similarities of which the largest represents all when the largest of a row are looked for."""


class Knn(Detector):
    """Minus the squared distance to the k-th nearest training feature, normalised.

    -||z - z_(k)||^2 with z = h / ||h|| and the k-th nearest training feature (equation 2).
    """

    kind: Literal["knn"] = "knn"
    k: Annotated[Count, GRID, Field(description="neighbours; the distance is to the k-th")] = 50

    paper = "arXiv 2204.06507"
    compared = "equal in order; not squared"
    inputs = ("features",)
    fitted_on = ("train",)
    grid: ClassVar[Grids] = {"k": [50, 100, 200, 500, 1000]}
    limited_by = {"k": "training images"}

    def state(self, reference: Reference) -> State:
        at_most("knn: k", self.k, len(reference.bank), "the bank's number of training features")
        return {"bank": reference.bank}

    def scorer(self, state: State) -> Score:
        def gather(found: Tensor | None, less_one: Tensor, x: Features, place: slice) -> Tensor:
            return largest_yet(found, less_one, self.k)

        def confidence(nearest: Tensor, x: Features) -> Tensor:
            # A sample of zeros has no direction: its distance to all of the bank is 1
            return (2 * nearest[:, -1].clamp(max=0)).masked_fill((x.features == 0).all(1), -1.0)

        return BankScore(state["bank"], gather, confidence)


class NnGuide(Detector):
    """Energy times the mean of the k largest similarities, each times its training energy.

    lse(l) times the mean of the k largest <z, z_i> lse(l_i) over the bank.

    The bank is every n-th training sample for a `share` of 1 / n. The k and share of the paper go with its sets; the
    defaults here are those of pytorch-ood.
    """

    kind: Literal["nnguide"] = "nnguide"
    k: Annotated[Count, GRID, Field(description="neighbours whose similarities are averaged")] = 10
    share: Annotated[Fraction, Field(gt=0), GRID, Field(description="of the training features that are the bank")] = 1.0

    paper = "arXiv 2309.14888"
    compared = "equal"
    inputs = ("logits", "features")
    fitted_on = ("train",)
    limited_by = {"k": "training images"}

    def state(self, reference: Reference) -> State:
        at_most(
            "nnguide: k", self.k, len(Chosen(len(reference.bank), self.share)), "the bank's number of training features"
        )
        energies = by_pieces(lambda _, rows: rows.logsumexp(1), reference.train.logits)
        return {"bank": reference.bank, "energies": energies}

    def scorer(self, state: State) -> Score:
        bank, energies = state["bank"], state["energies"]
        chosen = Chosen(len(bank), self.share)

        def gather(found: Tensor | None, less_one: Tensor, x: Features, place: slice) -> Tensor:
            own, index = chosen.of(less_one, place)
            return largest_yet(found, torch.addcmul(energies[index], own, energies[index]), self.k)

        return BankScore(bank, gather, lambda best, x: best.mean(1) * x.logits.logsumexp(1))


class Relation(Detector):
    """Sum of the similarities, in features and predictions, to training data.

    Sum over the bank of r^power where r > threshold, r = max(0, <z, z_i>) <p, p_i>.
    """

    kind: Literal["relation"] = "relation"
    power: Annotated[Positive, GRID, Field(description="exponent of the similarities")] = 1.0
    threshold: Annotated[float, Field(ge=0), GRID, Field(description="similarities at or below it are left out")] = 0.03

    paper = "arXiv 2301.12321"
    inputs = ("logits", "features")
    fitted_on = ("train",)
    grid: ClassVar[Grids] = {"power": [1.0, 2.0, 4.0, 6.0, 8.0]}

    def state(self, reference: Reference) -> State:
        return {"bank": reference.bank, "logits": reference.train.logits}

    def scorer(self, state: State) -> Score:
        logits = state["logits"]

        def gather(found: Tensor | None, less_one: Tensor, x: Features, place: slice) -> Tensor:
            edges = x.logits.softmax(1) @ logits[place].softmax(1).T
            edges.addcmul_(edges, less_one)
            edges = torch.threshold_(edges, self.threshold, 0.0)
            sums = (edges if self.power == 1 else edges.pow_(self.power)).sum(1, dtype=torch.float64)
            return sums if found is None else found + sums

        return BankScore(state["bank"], gather, lambda sums, x: sums.float())


class Cfood(Detector):
    """Minus the neighbourhood, as a share of the bank, at which enough training data take the sample in.

    Minus the smallest q at which a `fraction` of the bank has the sample among its nearest q M (OpenOOD's CFOOD).

    q is one of 230 values, 1 where none is enough, so ties are many. Whether bank sample i takes the sample in grows
    with q: the answer is an order statistic, over the bank, of the first such q. The bank is every n-th sample; one
    without any activation has no neighbourhood and takes none in.
    """

    kind: Literal["cfood"] = "cfood"
    share: Annotated[Fraction, Field(gt=0), GRID, Field(description="of the training features that are the bank")] = 0.1
    fraction: Annotated[Fraction, Field(gt=0), GRID, Field(description="of the bank that must take the sample in")] = (
        0.01
    )

    paper = "OpenOOD's CFOOD, 2025"
    inputs = ("features",)
    fitted_on = ("train",)

    def state(self, reference: Reference) -> State:
        chosen = Chosen(len(reference.bank), self.share)
        size = len(chosen)
        at_most("cfood: two samples", 2, size, "the bank of")
        tried = shares_tried()
        ranks = (tried * size).long().clamp(1, size - 1)
        keep = torch.cat([torch.ones(1, dtype=torch.bool), ranks[1:] > ranks[:-1]])
        ranks, shares = ranks[keep], torch.cat([tried[keep], torch.ones(1, dtype=torch.float64)]).float()
        bank, features = reference.bank, reference.bank.features[chosen.index]
        points, rows = bank.points(features), max(1, scoring.CHUNK // size)
        # Largest cosines first, each sample's own left out; negated, so that they ascend with the rank
        reach = -torch.cat(
            [
                (bank.queries(own) @ points.T).sort(1, descending=True).values[:, ranks]
                for _, own in pieces(features, rows)
            ]
        )
        # All are as far from a sample without direction: it would take in any sample at once
        reach[(features == 0).all(1)] = -torch.inf
        return {"bank": reference.bank, "reach": reach, "shares": shares}

    def scorer(self, state: State) -> Score:
        bank, reach, shares = state["bank"], state["reach"], state["shares"]
        chosen = Chosen(len(bank), self.share)
        needed = max(1, -int(-self.fraction * len(chosen) // 1))

        def gather(found: Tensor | None, less_one: Tensor, x: Features, place: slice) -> Tensor:
            own, _ = chosen.of(less_one, place)
            first = torch.searchsorted(reach[chosen.within(place)], -own.T.contiguous())
            counts = first.new_zeros((len(shares), len(x)), dtype=torch.int32) if found is None else found
            return counts.scatter_add_(0, first, counts.new_ones(()).expand_as(first))

        def confidence(counts: Tensor, x: Features) -> Tensor:
            return -shares.to(counts.device)[(counts.cumsum(0) < needed).sum(0)]

        return BankScore(bank, gather, confidence)


@functools.cache
def shares_tried() -> Tensor:
    """Neighbourhoods, as shares of the bank, that CFOOD tries, float64 [230]."""
    ends = ((0.001, 0.1, 100), (0.105, 0.5, 81), (0.51, 0.99, 49))
    return torch.cat([torch.linspace(low, high, steps, dtype=torch.float64) for low, high, steps in ends])


class Chosen:
    """Every n-th row of a bank, evenly spread, at least one."""

    def __init__(self, count: int, share: float) -> None:
        size = max(1, round(share * count))
        self.all, self.count = size == count, count
        self.index = torch.arange(size) * count // size

    def __len__(self) -> int:
        return len(self.index)

    def within(self, place: slice) -> slice:
        """Which of the chosen lie in a piece of the bank."""
        # The first i with i * count // size at or above an end
        first, last = (-(-end * len(self) // self.count) for end in (place.start, place.stop))
        return slice(first, last)

    def of(self, cosines: Tensor, place: slice) -> tuple[Tensor, Tensor | slice]:
        """The chosen columns of a piece's cosines, and their places in the bank; all, uncopied, where all are."""
        if self.all:
            return cosines, place
        index = self.index[self.within(place)].to(cosines.device)
        return cosines[:, index - place.start], index


def largest_yet(found: Tensor | None, values: Tensor, k: int) -> Tensor:
    """The k largest in order, or all if fewer, of what was found before [n,j] and of new values [n,m]."""
    parts = [*([] if found is None else [found]), *holders(values, k)]
    both = torch.cat(parts, 1) if len(parts) > 1 else values
    return both.topk(min(k, both.shape[1])).values


def holders(values: Tensor, k: int) -> list[Tensor]:
    """Some of the values [n,M] with the k largest of each row among them: `topk` is slow on long rows.

    Of M / 8 groups of 8 only the k with the largest members can hold one of the k largest.
    """
    groups = values.shape[1] // STRIDE
    if groups <= 4 * k:
        return [values]
    grid = values[:, : groups * STRIDE].unflatten(1, (STRIDE, groups))
    best = grid.amax(1).topk(k, sorted=False).indices
    held = grid.gather(2, best[:, None].expand(-1, STRIDE, -1)).flatten(1)
    return [held, values[:, groups * STRIDE :]]

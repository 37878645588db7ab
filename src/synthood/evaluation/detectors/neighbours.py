"""Detectors that compare a feature with a bank of training features, all in one pass over pieces of the bank."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.evaluation.detectors.base import Score, at_most
from synthood.evaluation.detectors.custom import CustomScore
from synthood.evaluation.features import Bank, Features, Reference, parts
from synthood.evaluation.moments import ROWS, by_pieces, pieces
from synthood.evaluation.unchanged import Unchanged

CHUNK = 1 << 24
"""Similarities that are held at once."""
STREAMED = 4
"""How many times as many where the bank's pieces are made anew in each pass, so that passes are fewer."""
STRIDE = 8
"""Similarities of which the largest stands for all when the largest of a row are looked for."""
SHARES = torch.cat(
    [
        torch.linspace(0.001, 0.1, 100, dtype=torch.float64),
        torch.linspace(0.105, 0.5, 81, dtype=torch.float64),
        torch.linspace(0.51, 0.99, 49, dtype=torch.float64),
    ]
)
"""Neighbourhoods, as shares of the bank, that CFOOD tries."""


@dataclass(frozen=True)
class BankScore:
    """A score by the cosines of samples to a bank, gathered from piece to piece of it.

    `gather` takes what was found before (None at first), cosines [n,m], the n samples, and the piece's place in the
    bank; `confidence` makes scores [n] of what was found at the end.
    """

    bank: Bank
    gather: Callable[[Tensor | None, Tensor, Features, slice], Tensor]
    confidence: Callable[[Tensor, Features], Tensor]

    def __call__(self, x: Features) -> Tensor:
        return together({"": self}, x)[""]


def together(scores: Mapping[str, Score], x: Features) -> dict[str, Tensor]:
    """Every score of the samples [N]; scores that have a bank in common share one pass over it.

    A score's bits do not depend on which others are asked for.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in scores}
    banks: dict[int, dict[str, BankScore]] = {}
    for name, score in scores.items():
        if isinstance(score, BankScore):
            banks.setdefault(id(score.bank), {})[name] = score
    own = {name: score for name, score in scores.items() if isinstance(score, CustomScore)}
    unchanged = Unchanged(x.tensors("x") if own else {})
    for name, custom in own.items():
        found[name].append(custom.checked(x, unchanged))
    for rows in parts(x, ROWS):
        for name, score in scores.items():
            if not isinstance(score, BankScore | CustomScore):
                found[name].append(score(rows))
    for members in banks.values():
        bank = next(iter(members.values())).bank
        at_once = CHUNK if bank.kept is not None else STREAMED * CHUNK
        for rows in parts(x, max(1, at_once // min(len(bank), bank.rows))):
            for name, values in one_pass(bank, members, rows).items():
                found[name].append(values)
    return {name: torch.cat(values) for name, values in found.items()}


def one_pass(bank: Bank, members: Mapping[str, BankScore], rows: Features) -> dict[str, Tensor]:
    """Scores [n] of some samples by every member."""
    directions = F.normalize(rows.features)
    gathered: dict[str, Tensor] = {}
    for place, piece in bank.pieces():
        cosines = directions @ piece.T
        for name, member in members.items():
            gathered[name] = member.gather(gathered.get(name), cosines, rows, place)
    return {name: member.confidence(gathered[name], rows) for name, member in members.items()}


def knn(reference: Reference, k: int = 50) -> Score:
    """-||z - z_(k)||^2 with z = h / ||h|| and the k-th nearest training feature (arXiv 2204.06507, equation 2)."""
    at_most("knn: k", k, len(reference.bank), "the bank's number of training features")

    def gather(found: Tensor | None, cosines: Tensor, x: Features, place: slice) -> Tensor:
        return largest_yet(found, cosines, k)

    def confidence(nearest: Tensor, x: Features) -> Tensor:
        # A sample of zeros has no direction: its distance to all of the bank is 1
        return (2 * nearest[:, -1] - 1 - (x.features != 0).any(1).float()).clamp(max=0)

    return BankScore(reference.bank, gather, confidence)


def nnguide(reference: Reference, k: int = 10, share: float = 1.0) -> Score:
    """lse(l) times the mean of the k largest <z, z_i> lse(l_i) over the bank (arXiv 2309.14888).

    The bank is every n-th training sample for a `share` of 1 / n. The k and share of the paper go with its sets; the
    defaults here are those of pytorch-ood.
    """
    chosen = Chosen(len(reference.bank), share)
    at_most("nnguide: k", k, len(chosen), "the bank's number of training features")
    energies = by_pieces(lambda _, rows: rows.logsumexp(1), reference.train.logits)

    def gather(found: Tensor | None, cosines: Tensor, x: Features, place: slice) -> Tensor:
        own, index = chosen.of(cosines, place)
        return largest_yet(found, own * energies[index], k)

    return BankScore(reference.bank, gather, lambda best, x: best.mean(1) * x.logits.logsumexp(1))


def relation(reference: Reference, power: float = 1.0, threshold: float = 0.03) -> Score:
    """Sum over the bank of r^power where r > threshold, r = max(0, <z, z_i>) <p, p_i> (arXiv 2301.12321)."""
    logits = reference.train.logits

    def gather(found: Tensor | None, cosines: Tensor, x: Features, place: slice) -> Tensor:
        edges = (x.logits.softmax(1) @ logits[place].softmax(1).T).mul_(cosines)
        edges = torch.threshold_(edges, threshold, 0.0)
        sums = (edges if power == 1 else edges.pow_(power)).sum(1, dtype=torch.float64)
        return sums if found is None else found + sums

    return BankScore(reference.bank, gather, lambda sums, x: sums.float())


def cfood(reference: Reference, share: float = 0.1, fraction: float = 0.01) -> Score:
    """Minus the smallest q at which a `fraction` of the bank has the sample among its nearest q M (OpenOOD's CFOOD).

    q is one of 230 values, 1 where none is enough, so ties are many. Whether bank sample i takes the sample in grows
    with q: the answer is an order statistic, over the bank, of the first such q. The bank is every n-th sample.
    """
    chosen = Chosen(len(reference.bank), share)
    size = len(chosen)
    at_most("cfood: two samples", 2, size, "the bank of")
    ranks = (SHARES * size).long().clamp(1, size - 1)
    keep = torch.cat([torch.ones(1, dtype=torch.bool), ranks[1:] > ranks[:-1]])
    ranks, shares = ranks[keep], torch.cat([SHARES[keep], torch.ones(1, dtype=torch.float64)]).float()
    bank = reference.bank.at(chosen.index)
    # Largest cosines first, each sample's own left out; negated, so that they ascend with the rank
    rows = max(1, CHUNK // size)
    reach = -torch.cat([(own @ bank.T).sort(1, descending=True).values[:, ranks] for _, own in pieces(bank, rows)])
    needed = max(1, -int(-fraction * size // 1))

    def gather(found: Tensor | None, cosines: Tensor, x: Features, place: slice) -> Tensor:
        own, _ = chosen.of(cosines, place)
        first = torch.searchsorted(reach[chosen.within(place)], -own.T.contiguous())
        counts = first.new_zeros((len(shares), len(x)), dtype=torch.int32) if found is None else found
        return counts.scatter_add_(0, first, counts.new_ones(()).expand_as(first))

    def confidence(counts: Tensor, x: Features) -> Tensor:
        return -shares.to(counts.device)[(counts.cumsum(0) < needed).sum(0)]

    return BankScore(reference.bank, gather, confidence)


class Chosen:
    """Every n-th row of a bank, evenly spread, at least one."""

    def __init__(self, count: int, share: float) -> None:
        size = max(1, round(share * count))
        self.all = size == count
        self.index = torch.arange(size) * count // size

    def __len__(self) -> int:
        return len(self.index)

    def within(self, place: slice) -> slice:
        """Which of the chosen lie in a piece of the bank."""
        first, last = torch.searchsorted(self.index, torch.tensor([place.start, place.stop])).tolist()
        return slice(first, last)

    def of(self, cosines: Tensor, place: slice) -> tuple[Tensor, Tensor | slice]:
        """The chosen columns of a piece's cosines, and their places in the bank; all, uncopied, where all are."""
        if self.all:
            return cosines, place
        index = self.index[self.within(place)].to(cosines.device)
        return cosines[:, index - place.start], index


def largest_yet(found: Tensor | None, values: Tensor, k: int) -> Tensor:
    """The k largest in order, or all if fewer, of what was found before [n,j] and of new values [n,m]."""
    new = largest(values, min(k, values.shape[1]))
    if found is None:
        return new
    both = torch.cat([found, new], 1)
    return both.topk(min(k, both.shape[1])).values


def largest(values: Tensor, k: int) -> Tensor:
    """The k largest of each row [n,k] of values [n,M], in order: what `topk` gives, which is slow on long rows.

    Of M / 8 groups of 8 only the k with the largest members can hold one of the k largest.
    """
    groups = values.shape[1] // STRIDE
    if groups <= 4 * k:
        return values.topk(k).values
    grid = values[:, : groups * STRIDE].unflatten(1, (STRIDE, groups))
    best = grid.amax(1).topk(k, sorted=False).indices
    held = grid.gather(2, best[:, None].expand(-1, STRIDE, -1)).flatten(1)
    return torch.cat([held, values[:, groups * STRIDE :]], 1).topk(k).values

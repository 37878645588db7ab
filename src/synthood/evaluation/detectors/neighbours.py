"""Detectors that compare a feature with a bank of training features, by one shared product in chunks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.evaluation.detectors.base import Score, at_most
from synthood.evaluation.features import Features, Reference

CHUNK = 1 << 24
"""Similarities that are held at once."""
ROWS = 1 << 12
"""Samples that are scored at once: copies of their features stay near the processor's caches."""
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
    """A score that is a function of the cosines [n,M] of n samples to the bank [M,D] of normalised features."""

    bank: Tensor
    of: Callable[[Tensor, Features], Tensor]

    def __call__(self, x: Features) -> Tensor:
        return together({"": self}, x)[""]


def together(scores: Mapping[str, Score], x: Features) -> dict[str, Tensor]:
    """Every score of the samples [N]; scores that have a bank in common share its product with the samples."""
    found: dict[str, list[Tensor]] = {name: [] for name in scores}
    banks: dict[tuple[int, tuple[int, ...]], dict[str, BankScore]] = {}
    for name, score in scores.items():
        if isinstance(score, BankScore):
            banks.setdefault((score.bank.data_ptr(), score.bank.stride() + score.bank.shape), {})[name] = score
    for rows in parts(x, ROWS):
        for name, score in scores.items():
            if not isinstance(score, BankScore):
                found[name].append(score(rows))
    for members in banks.values():
        bank = next(iter(members.values())).bank
        for rows in parts(x, max(1, CHUNK // len(bank))):
            cosines = F.normalize(rows.features) @ bank.T
            for name, member in members.items():
                found[name].append(member.of(cosines, rows))
    return {name: torch.cat(values) for name, values in found.items()}


def parts(x: Features, rows: int) -> list[Features]:
    """The samples, at most `rows` at once."""
    chunks = [slice(first, first + rows) for first in range(0, len(x), rows)]
    return [
        Features(x.logits[c], x.features[c], x.labels[c], {name: output[c] for name, output in x.outputs.items()})
        for c in chunks
    ]


def knn(reference: Reference, k: int = 50) -> Score:
    """-||z - z_(k)||^2 with z = h / ||h|| and the k-th nearest training feature (arXiv 2204.06507, equation 2)."""
    bank = reference.bank
    at_most("knn: k", k, len(bank), "the bank's number of training features")

    def score(cosines: Tensor, x: Features) -> Tensor:
        nearest = largest(cosines, k)[:, -1]
        # A sample of zeros has no direction: its distance to all of the bank is 1
        return (2 * nearest - 1 - (x.features != 0).any(1).float()).clamp(max=0)

    return BankScore(bank, score)


def nnguide(reference: Reference, k: int = 10, share: float = 1.0) -> Score:
    """lse(l) times the mean of the k largest <z, z_i> lse(l_i) over the bank (arXiv 2309.14888).

    The bank is every n-th training sample for a `share` of 1 / n. The k and share of the paper go with its sets; the
    defaults here are those of pytorch-ood.
    """
    bank, energies = spread(reference.bank, share), spread(reference.train.logits.logsumexp(1), share)
    at_most("nnguide: k", k, len(bank), "the bank's number of training features")

    def score(cosines: Tensor, x: Features) -> Tensor:
        return largest(cosines * energies, k).mean(1) * x.logits.logsumexp(1)

    return BankScore(bank, score)


def relation(reference: Reference, power: float = 1.0, threshold: float = 0.03) -> Score:
    """Sum over the bank of r^power where r > threshold, r = max(0, <z, z_i>) <p, p_i> (arXiv 2301.12321)."""
    probabilities = reference.train.logits.softmax(1)

    def score(cosines: Tensor, x: Features) -> Tensor:
        edges = (x.logits.softmax(1) @ probabilities.T).mul_(cosines)
        edges.masked_fill_(edges <= threshold, 0.0)
        return (edges if power == 1 else edges.pow_(power)).sum(1)

    return BankScore(reference.bank, score)


def cfood(reference: Reference, share: float = 0.1, fraction: float = 0.01) -> Score:
    """Minus the smallest q at which a `fraction` of the bank has the sample among its nearest q M (OpenOOD's CFOOD).

    q is one of 230 values, 1 where none is enough, so ties are many. Whether bank sample i takes the sample in grows
    with q: the answer is an order statistic, over the bank, of the first such q. The bank is every n-th sample.
    """
    bank = spread(reference.bank, share)
    at_most("cfood: two samples", 2, len(bank), "the bank of")
    ranks = (SHARES * len(bank)).long().clamp(1, len(bank) - 1)
    keep = torch.cat([torch.ones(1, dtype=torch.bool), ranks[1:] > ranks[:-1]])
    ranks, shares = ranks[keep], torch.cat([SHARES[keep], torch.ones(1, dtype=torch.float64)]).float()
    # Largest cosines first, each sample's own left out; negated, so that they ascend with the rank
    own = [(rows @ bank.T).sort(1, descending=True).values[:, ranks] for rows in bank.split(max(1, CHUNK // len(bank)))]
    reach = -torch.cat(own)
    needed = max(1, -int(-fraction * len(bank) // 1))

    def score(cosines: Tensor, x: Features) -> Tensor:
        first = torch.searchsorted(reach, -cosines.T.contiguous())
        return -shares[first.kthvalue(needed, dim=0).values]

    return BankScore(bank, score)


def largest(values: Tensor, k: int) -> Tensor:
    """The k largest of each row [n,k] of values [n,M], in order: what `topk` gives, which is slow on long rows.

    Of M / 8 groups of 8 only the k with the largest members can hold one of the k largest.
    """
    groups = values.shape[1] // STRIDE
    if groups < 4 * k:
        return values.topk(k).values
    grid = values[:, : groups * STRIDE].unflatten(1, (STRIDE, groups))
    best = grid.amax(1).topk(k, sorted=False).indices
    held = grid.gather(2, best[:, None].expand(-1, STRIDE, -1)).flatten(1)
    return torch.cat([held, values[:, groups * STRIDE :]], 1).topk(k).values


def spread(values: Tensor, share: float) -> Tensor:
    """Every n-th row, evenly spread, at least one; all of them, uncopied, for a share of 1."""
    count = max(1, round(share * len(values)))
    return values if count == len(values) else values[torch.arange(count) * len(values) // count]

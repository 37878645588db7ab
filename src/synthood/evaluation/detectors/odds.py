"""Odds of the likeliest class, in logs: float32 rounds a probability near one to one, and ties what it orders."""

from __future__ import annotations

from dataclasses import dataclass

from synthood.common.lazy import F, Tensor, torch

FARTHEST = 1e30
"""Where all classes are as likely as the likeliest, none is apart from them."""
FEW = 2.0**-80
"""Odds from which on sums of exp are exact without a shift."""
LEAST = -87.0
"""Where exp is still a normal float32: below, it takes ten times as long, for what is nothing of a sum above one."""


def exp_(values: Tensor) -> Tensor:
    """In place, for sums in which the largest is one."""
    return values.clamp_(min=LEAST).exp_()


@dataclass(frozen=True)
class Odds:
    """The softmax of logits [N,C], relative to its largest entry.

    `apart` [N,C] is how far logits are below the largest, infinite for those equal to it, of which there are `equal`
    [N,1]; `shares` [N,C] are exp(nearest - apart), `nearest` [N,1] the least apart. `rest` [N,1] is log((1 - p_max) /
    p_max): the log of the sum of the odds exp(-apart) of all classes but one of the largest. No index of the largest is
    looked for, which takes longer than all else.
    """

    apart: Tensor
    equal: Tensor
    nearest: Tensor
    shares: Tensor
    rest: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> Odds:
        below = logits.amax(1, keepdim=True) - logits
        equal = logits.shape[1] - below.sign().sum(1, keepdim=True)
        apart = F.threshold(below, 0.0, torch.inf, inplace=True)
        nearest = apart.amin(1, keepdim=True).clamp_(max=FARTHEST)
        shares = exp_(nearest - apart)
        rest = torch.logaddexp((equal - 1).log_(), shares.sum(1, keepdim=True).log_().sub_(nearest))
        return cls(apart, equal, nearest, shares, rest)


def log_odds(logits: Tensor) -> Tensor:
    """log(p / (1 - p)) [N] of the largest p of the softmax of logits [N,C]: in p's order, without its rounding."""
    odds = exp_(logits - logits.amax(1, keepdim=True))
    total = odds.sum(1)
    # Where all others are less than half as likely together, so is each of them, and the largest is left out
    others = F.threshold(odds.neg_(), -0.5, 0.0, inplace=True).sum(1).neg_()
    rest = torch.where(total < 1.5, others, total - 1)
    found = -rest.log()
    few = rest < FEW
    if torch.compiler.is_compiling() or few.any():
        found = torch.where(few, -Odds.of(logits).rest[:, 0], found)
    return found

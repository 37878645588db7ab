"""Odds of the likeliest class, in logs: float32 rounds a probability near one to one, and ties what it orders."""

from __future__ import annotations

from dataclasses import dataclass

from synthood.common.lazy import Tensor, torch


@dataclass(frozen=True)
class Odds:
    """The softmax of logits [N,C], relative to its largest entry at `likeliest` [N,1].

    `gaps` [N,C] are log p_c - log p_max. `rest` [N,1] is log((1 - p_max) / p_max): the log of the sum of the others'
    odds exp(gap), which is `shift` [N,1] plus the log of the sum of `shares` [N,C], 0 for the likeliest class.
    """

    likeliest: Tensor
    gaps: Tensor
    shift: Tensor
    shares: Tensor
    rest: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> Odds:
        largest, likeliest = logits.max(1, keepdim=True)
        gaps = logits - largest
        shares = gaps.scatter(1, likeliest, -torch.inf)
        shift = shares.amax(1, keepdim=True)
        shares = shares.sub_(shift).exp_()
        return cls(likeliest, gaps, shift, shares, shift + shares.sum(1, keepdim=True).log())


def log_odds(logits: Tensor) -> Tensor:
    """log(p / (1 - p)) [N] of the largest p of the softmax of logits [N,C]: in p's order, without its rounding."""
    largest, likeliest = logits.max(1, keepdim=True)
    others = (logits - largest).scatter_(1, likeliest, -torch.inf)
    shift = others.amax(1, keepdim=True)
    return -(shift[:, 0] + others.sub_(shift).exp_().sum(1).log())

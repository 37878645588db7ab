"""AdaSCALE: features scaled more the less a small step of the image shifts them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.evaluation.access.method import ModelMethod, Rule
from synthood.evaluation.access.view import Look
from synthood.evaluation.hyperparameters import Values
from synthood.evaluation.selection import OutOfRangeError

STEP = 0.5
"""Of the normalised input, as in the paper's code."""


class AdaScale(ModelMethod):
    """Energy of W h exp(r) + b (a) or r^2 (W h + b) (l), r = sum h / sum of the largest h (arXiv 2503.08023).

    How many are large is a percentile of each sample's own: low + (1 - F(Q)) (high - low), F the distribution over ID
    validation images of Q = sum of relu(h~) over the strongest + lambda sum of |h~ - h| over the very strongest. h~
    are the features after a step along the sign of the predicted logit's gradient, at the values of the image where
    it is smallest. One gradient and one pass serve all candidates but those of `pixels`.
    """

    calibrates = True
    passed = ("pixels",)

    def evidence(self, look: Look, values: Values) -> Tensor:
        """h beside h~ [N,2D]."""
        gradient = look.gradient(look.attached, ("largest logit",), lambda run: run.logits.amax(1))
        flat = gradient.flatten(1)
        places = flat.abs().topk(int(values["pixels"] * flat.shape[1]), largest=False).indices
        moves = torch.zeros_like(flat).scatter_(1, places, flat.gather(1, places).sign()).view_as(gradient)
        with torch.no_grad():
            moved = self.view.features(look.inputs + STEP * moves)
        return torch.cat([look.attached.features.detach(), moved], 1).float().cpu()

    def rule(self, values: Values, inside: Tensor | None, outside: Tensor | None) -> Rule:
        low, high = values["low"], values["high"]
        if low >= high:
            raise OutOfRangeError(f"adascale: low {low:g} is not below high {high:g}; set them in detectors")
        assert inside is not None
        weight, bias = self.view.head.weight.cpu(), self.view.head.bias.cpu()
        known = shift(inside, values).sort().values

        def confidence(evidence: Tensor) -> Tensor:
            h = evidence.chunk(2, 1)[0]
            share = 1 - torch.searchsorted(known, shift(evidence, values), right=True) / len(known)
            r = ratio(h.relu(), low + share * (high - low))
            if values["variant"] == "l":
                return (r.square() * F.linear(h, weight, bias)).logsumexp(1)
            return F.linear(h * r.exp(), weight, bias).logsumexp(1)

        return confidence


def shift(evidence: Tensor, values: Values) -> Tensor:
    """Q [N]; at least one feature counts in each sum, where OpenOOD's code has none of fewer than a hundred."""
    h, moved = evidence.chunk(2, 1)
    strongest, shifting = (max(1, int(h.shape[1] * values[key] / 100)) for key in ("strongest", "shifting"))
    height = moved.relu().gather(1, h.topk(strongest).indices).sum(1)
    change = (moved - h).abs().gather(1, h.topk(shifting).indices).sum(1)
    return height + values["shift_weight"] * change


def ratio(h: Tensor, percentiles: Tensor) -> Tensor:
    """Sum of non-negative features [N,D] over the sum of those above each sample's percentile [N]: [N,1].

    At least one is above; 1 for a sample without any activation.
    """
    width = h.shape[1]
    kept = (width - (width * percentiles / 100).round()).clamp(min=1)
    ordered = h.sort(1, descending=True).values
    largest = (ordered * (torch.arange(width) < kept[:, None])).sum(1, keepdim=True)
    return (h.sum(1, keepdim=True) / largest.where(largest > 0, 1)).where(largest > 0, 1)

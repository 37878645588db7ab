"""AugMix's consistency loss: an image and two of its mixes should look alike to the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from synthood.common.lazy import F, Tensor, torch
from synthood.training.augmentation.policies import Chains, augmixed
from synthood.training.methods.base import Method, Weight
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context, Term
from synthood.training.terms.losses import mean


class Consistency(Chains, Method):
    """Posteriors of an image and of two of its mixes near each other."""

    key = "consistency"
    meaning = "of an image with two of AugMix's mixes"
    paper = "arXiv 1912.02781, section 3"
    order = 5
    needs_pixels = "it mixes augmented images at each step"

    kind: Literal["consistency"] = "consistency"
    weight: Weight = 12.0

    def terms(self, context: Context) -> dict[str, Term]:
        return {"consistency": AugMixConsistency(self, context.mean, context.deviation)}


class AugMixConsistency(Term):
    """AugMix's Jensen-Shannon term (arXiv 1912.02781, eq. 1 to 3); cross-entropy sees the image alone, as there.

    Mixes are made of the inputs as cross-entropy sees them, brought back to pixels by the `channels`' mean and
    deviation.
    """

    def __init__(self, settings: Consistency, means: Sequence[float], deviations: Sequence[float]) -> None:
        super().__init__()
        self.settings = settings
        for name, values in (("means", means), ("deviations", deviations)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def auxiliary_inputs(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> AuxiliaryInputs:
        """Two mixes of each image, the first ones before the second."""
        means, deviations = self.get_buffer("means"), self.get_buffer("deviations")
        pixels = (inputs * deviations + means).clamp(0, 1)
        mixes = torch.cat([augmixed(pixels, self.settings, random) for _ in range(2)])
        return AuxiliaryInputs((mixes - means) / deviations)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        views = torch.stack([batch.logits, *batch.auxiliary["consistency"].logits.chunk(2)])
        return {"consistency": self.settings.weight * mean(jensen_shannon(views), batch.weights)}


def jensen_shannon(logits: Tensor) -> Tensor:
    """Divergence in nats [N] of the posteriors of logits [V,N,C]: mean over V of KL(p_v || mean of all)."""
    chances = F.log_softmax(logits, 2)
    mixture = chances.logsumexp(0) - torch.tensor(len(logits), dtype=logits.dtype, device=logits.device).log()
    return (chances.exp() * (chances - mixture)).sum(2).mean(0)

"""AugMix's consistency loss: an image and two of its mixes should look alike to the network."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.training.augmentation.policies import augmixed
from synthood.training.method_settings import Consistency
from synthood.training.terms.heads import Batch, Companions, Term
from synthood.training.terms.losses import mean


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

    def companions(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> Companions:
        """Two mixes of each image, the first ones before the second."""
        means, deviations = self.get_buffer("means"), self.get_buffer("deviations")
        pixels = (inputs * deviations + means).clamp(0, 1)
        mixes = torch.cat([augmixed(pixels, self.settings, random) for _ in range(2)])
        return Companions((mixes - means) / deviations)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        views = torch.stack([batch.logits, *batch.beside["consistency"].logits.chunk(2)])
        return {"consistency": self.settings.weight * mean(jensen_shannon(views), batch.weights)}


def jensen_shannon(logits: Tensor) -> Tensor:
    """Divergence in nats [N] of the posteriors of logits [V,N,C]: mean over V of KL(p_v || mean of all)."""
    chances = F.log_softmax(logits, 2)
    mixture = chances.logsumexp(0) - torch.tensor(len(logits), dtype=logits.dtype, device=logits.device).log()
    return (chances.exp() * (chances - mixture)).sum(2).mean(0)

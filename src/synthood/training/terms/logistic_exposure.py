"""Dream-OOD: a logistic layer that tells the energies of ID images from those of outlier images."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from synthood.training.terms.exposure import NO_IMAGES, OutlierImages, Prepared, as_they_are
from synthood.training.terms.exposure_settings import LogisticExposure
from synthood.training.terms.heads import Batch, EnergyLogOdds
from synthood.training.terms.losses import mean


class LogisticEnergies(OutlierImages):
    """Dream-OOD's energy regularisation (arXiv 2309.13415, section 3.3); the network learns through both energies.

    The logistic layer plays no part in inference.
    """

    def __init__(
        self, settings: LogisticExposure, images: np.ndarray = NO_IMAGES, prepared: Prepared = as_they_are
    ) -> None:
        super().__init__(images, prepared, settings.per_image)
        self.settings = settings
        self.logistic = EnergyLogOdds()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        scale, offset = self.logistic.weight[0, 0], self.logistic.bias[0]
        loss = separation(batch.logits, batch.beside["exposure"].logits, scale, offset, batch.weights)
        return {"exposure": self.settings.weight * loss}


def separation(known: Tensor, outliers: Tensor, scale: Tensor, offset: Tensor, weights: Tensor | None = None) -> Tensor:
    """Half of E_known[-log p] + E_outliers[-log(1 - p)], p = sigmoid(scale logsumexp(logits) + offset).

    Of logits [N,C] and [M,C]; at N = M it is the mean over both, as the published code has it.
    """
    own, theirs = (scale * logits.logsumexp(1) + offset for logits in (known, outliers))
    return (mean(F.softplus(-own), weights) + F.softplus(theirs).mean()) / 2

"""Dream-OOD: a logistic layer that tells the energies of ID images from those of outlier images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import F, Tensor, lazy
from synthood.training.methods.base import Weight
from synthood.training.methods.exposure import Exposure, OutlierImages, PerImage
from synthood.training.methods.term import Batch, Context, Term
from synthood.training.terms.losses import mean

if TYPE_CHECKING:
    from synthood.training.terms import heads
else:
    heads = lazy("synthood.training.terms.heads")


class LogisticExposure(Exposure):
    """Energies of ID and outlier images, which a logistic layer tells apart."""

    paper = "Dream-OOD, arXiv 2309.13415"

    kind: Literal["logistic"] = "logistic"
    weight: Weight = 2.5
    outliers_per_image: PerImage = 1.0

    def terms(self, context: Context) -> dict[str, Term]:
        return {"exposure": LogisticEnergies(self, context)}


class LogisticEnergies(OutlierImages):
    """Dream-OOD's energy regularisation (arXiv 2309.13415, section 3.3); the network learns through both energies.

    The logistic layer plays no part in inference.
    """

    settings: LogisticExposure

    def __init__(self, settings: LogisticExposure, context: Context) -> None:
        super().__init__(settings, context)
        self.logistic = heads.EnergyLogOdds()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        scale, offset = self.logistic.weight[0, 0], self.logistic.bias[0]
        loss = separation(batch.logits, batch.auxiliary["exposure"].logits, scale, offset, batch.weights)
        return {"exposure": self.settings.weight * loss}


def separation(known: Tensor, outliers: Tensor, scale: Tensor, offset: Tensor, weights: Tensor | None = None) -> Tensor:
    """Half of E_known[-log p] + E_outliers[-log(1 - p)], p = sigmoid(scale logsumexp(logits) + offset).

    Of logits [N,C] and [M,C]; at N = M it is the mean over both, as the published code has it.
    """
    own, theirs = (scale * logits.logsumexp(1) + offset for logits in (known, outliers))
    return (mean(F.softplus(-own), weights) + F.softplus(theirs).mean()) / 2

"""MixOE: images between ID and outliers, with labels between their classes and the uniform distribution."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.training.method_settings import CutMix, Mixup
from synthood.training.terms.exposure import OutlierImages, Prepared
from synthood.training.terms.exposure_settings import MixedExposure
from synthood.training.terms.heads import Batch, Companions
from synthood.training.terms.losses import cross_entropy
from synthood.training.terms.mixing import blended


class OutlierMixing(OutlierImages):
    """MixOE (arXiv 2111.02358, section 3): cross-entropy of x = s x_id + (1 - s) x_out to s y + (1 - s) / C.

    Each ID image has an outlier and a share s ~ Beta(beta, beta) of its own; under CutMix a box comes from the outlier
    and s is the share that it left over. The published code draws one share for a batch and passes mixed images through
    the network apart.
    """

    def __init__(self, settings: MixedExposure, images: np.ndarray, prepared: Prepared, classes: int) -> None:
        super().__init__(images, prepared)
        self.settings, self.classes = settings, classes
        self.blend: CutMix | Mixup = (
            CutMix(kind="cutmix", beta=settings.beta)
            if settings.operation == "cutmix"
            else Mixup(kind="mixup", beta=settings.beta)
        )

    def companions(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> Companions:
        mixed, share = blended(inputs, self.drawn(len(inputs), random), self.blend, random)
        hot = F.one_hot(labels, self.classes).float()
        return Companions(mixed, share[:, None] * hot + (1 - share)[:, None] / self.classes)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        beside = batch.beside["exposure"]
        return {"exposure": self.settings.weight * cross_entropy(beside.logits, beside.targets, 0.0, batch.weights)}

"""MCD: a second last layer that agrees with the first on ID images and differs from it on outliers."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.training.terms.exposure import NO_IMAGES, OutlierImages, Prepared, as_they_are
from synthood.training.terms.exposure_settings import DiscrepancyExposure
from synthood.training.terms.heads import Batch, Seen
from synthood.training.terms.losses import cross_entropy


class ClassifierDiscrepancy(OutlierImages):
    """MCD (arXiv 1908.04951, section 3): both layers' cross-entropy, and max(m - mean(H(p_1) - H(p_2)), 0) on outliers.

    The network's own layer is the first, whose posteriors become uniform on outliers; `second` becomes certain there.
    Outliers pass through the network from the first step on, the discrepancy counts once `start` of the steps are done.
    """

    name = "discrepancy"

    def __init__(
        self,
        settings: DiscrepancyExposure,
        features: int,
        classes: int,
        smoothing: float = 0.0,
        images: np.ndarray = NO_IMAGES,
        prepared: Prepared = as_they_are,
    ) -> None:
        super().__init__(images, prepared, settings.per_image)
        self.settings, self.smoothing = settings, smoothing
        self.second = nn.Linear(features, classes)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        settings, beside = self.settings, batch.beside["discrepancy"]
        own = cross_entropy(self.second(batch.features), batch.labels, self.smoothing, batch.weights)
        losses = {"second_cross_entropy": own}
        if batch.progress < settings.start:
            return losses | {"discrepancy": 0 * beside.logits.sum()}
        apart = discrepancy(beside.logits, self.second(beside.features))
        return losses | {"discrepancy": settings.weight * F.relu(settings.margin - apart)}

    def output(self, seen: Seen) -> Tensor:
        """Logits [N,C] of the second layer."""
        logits: Tensor = self.second(seen.features)
        return logits


def discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Mean of H(p_1) - H(p_2) in nats, of logits [M,C] each (arXiv 1908.04951, section 3.3)."""
    return (entropy(first) - entropy(second)).mean()


def entropy(logits: Tensor) -> Tensor:
    """In nats [M], of the posteriors of logits [M,C]."""
    chances = F.log_softmax(logits, 1)
    return -(chances.exp() * chances).sum(1)

"""MCD: a second last layer that agrees with the first on ID images and differs from it on outliers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, nn
from synthood.common.settings import BEFORE_THE_END, Fraction, Positive
from synthood.training.methods.base import Weight
from synthood.training.methods.exposure import Exposure, OutlierImages, PerImage
from synthood.training.methods.term import Batch, Context, ForwardOutputs, Term
from synthood.training.terms.losses import cross_entropy


class DiscrepancyExposure(Exposure):
    """Two last layers that differ on outliers."""

    paper = "MCD, arXiv 1908.04951"
    head = "discrepancy"
    hard_labels = True

    kind: Literal["discrepancy"] = "discrepancy"
    weight: Weight = 1.0
    outliers_per_image: PerImage = 1.0
    margin: Annotated[Positive, Field(description="difference of the entropies that is enough, in nats")] = 1.2
    start: Annotated[Fraction, BEFORE_THE_END, Field(description="share of the steps without the discrepancy")] = 0.5

    def check_recipe(self, recipe: Any) -> None:
        if recipe.normalisation:
            raise ValueError("exposure.kind discrepancy needs two last layers alike, and `normalisation` changes one")

    def terms(self, context: Context) -> dict[str, Term]:
        return {"discrepancy": ClassifierDiscrepancy(self, context)}


class ClassifierDiscrepancy(OutlierImages):
    """MCD (arXiv 1908.04951, section 3): both layers' cross-entropy, and max(m - mean(H(p_1) - H(p_2)), 0) on outliers.

    The network's own layer is the first, whose posteriors become uniform on outliers; `second` becomes certain there.
    Outliers pass through the network from the first step on, the discrepancy counts once `start` of the steps are done.
    """

    settings: DiscrepancyExposure

    def __init__(self, settings: DiscrepancyExposure, context: Context) -> None:
        super().__init__(settings, context)
        self.smoothing = context.label_smoothing
        self.second = nn.Linear(context.features, context.classes)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        settings, auxiliary = self.settings, batch.auxiliary["discrepancy"]
        second_loss = cross_entropy(self.second(batch.features), batch.labels, self.smoothing, batch.weights)
        losses = {"second_cross_entropy": second_loss}
        if batch.progress < settings.start:
            return losses | {"discrepancy": 0 * auxiliary.logits.sum()}
        apart = discrepancy(auxiliary.logits, self.second(auxiliary.features))
        return losses | {"discrepancy": settings.weight * F.relu(settings.margin - apart)}

    def readout(self, outputs: ForwardOutputs) -> Tensor:
        """Logits [N,C] of the second layer."""
        logits: Tensor = self.second(outputs.features)
        return logits


def discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Mean of H(p_1) - H(p_2) in nats, of logits [M,C] each (arXiv 1908.04951, section 3.3)."""
    return (entropy(first) - entropy(second)).mean()


def entropy(logits: Tensor) -> Tensor:
    """In nats [M], of the posteriors of logits [M,C]."""
    chances = F.log_softmax(logits, 1)
    return -(chances.exp() * chances).sum(1)

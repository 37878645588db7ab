"""MixOE: images between ID and outliers, with labels between their classes and the uniform distribution."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, torch
from synthood.common.settings import Positive
from synthood.training.methods.base import Weight
from synthood.training.methods.exposure import Exposure, OutlierImages
from synthood.training.methods.mixing import CutMix, Mixup, blended
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context, Term
from synthood.training.terms.losses import cross_entropy


class MixedExposure(Exposure):
    """ID images mixed with outliers, labels with the uniform distribution."""

    paper = "MixOE, arXiv 2111.02358"
    hard_labels = True

    kind: Literal["mixed"] = "mixed"
    weight: Weight = 1.0
    operation: Annotated[
        Literal["cutmix", "mixup"], Field(description="cutmix: a box of the outlier; mixup: both images blended")
    ] = "cutmix"
    beta: Annotated[Positive, Field(description="of the share's Beta(beta, beta)")] = 1.0

    def check_recipe(self, recipe: Any) -> None:
        if recipe.network.frozen and self.operation == "cutmix":
            raise ValueError(
                "exposure.operation cutmix cannot learn from cached features; take mixup, or another freeze"
            )

    def terms(self, context: Context) -> dict[str, Term]:
        return {"exposure": OutlierMixing(self, context)}


class OutlierMixing(OutlierImages):
    """MixOE (arXiv 2111.02358, section 3): cross-entropy of x = s x_id + (1 - s) x_out to s y + (1 - s) / C.

    Each ID image has an outlier and a share s ~ Beta(beta, beta) of its own; under CutMix a box comes from the outlier
    and s is the share that it left over. The published code draws one share for a batch and passes mixed images through
    the network apart.
    """

    settings: MixedExposure

    def __init__(self, settings: MixedExposure, context: Context) -> None:
        super().__init__(settings, context)
        self.classes = context.classes
        self.blend = (CutMix if settings.operation == "cutmix" else Mixup)(beta=settings.beta)

    def auxiliary_inputs(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> AuxiliaryInputs:
        mixed, share = blended(inputs, self.drawn(len(inputs), random), self.blend, random)
        hot = F.one_hot(labels, self.classes).float()
        return AuxiliaryInputs(mixed, share[:, None] * hot + (1 - share)[:, None] / self.classes)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        auxiliary = batch.auxiliary["exposure"]
        return {
            "exposure": self.settings.weight * cross_entropy(auxiliary.logits, auxiliary.targets, 0.0, batch.weights)
        }

"""Prediction of quarter turns, added to that of classes."""

from __future__ import annotations

from typing import Literal

from synthood.common.lazy import F, Tensor, nn, torch
from synthood.errors import SynthoodError
from synthood.training.methods.base import Method, Weight
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context, ForwardOutputs, Term
from synthood.training.terms.losses import mean


class Rotation(Method):
    """Prediction of quarter turns."""

    key = "rotation"
    paper = "RotPred, arXiv 1906.12340"
    order = 6
    head = "rotation"
    needs_pixels = "it turns images"

    kind: Literal["rotation"] = "rotation"
    weight: Weight = 0.5

    def check_images(self, height: int, width: int) -> None:
        if height != width:
            raise SynthoodError(
                f"images of {height} x {width} pixels cannot be turned by 90 degrees; take `rotation` out of the recipe"
            )

    def terms(self, context: Context) -> dict[str, Term]:
        return {"rotation": RotationPrediction(self, context.features)}


class RotationPrediction(Term):
    """RotPred (arXiv 1906.12340, section 4): which of four quarter turns, by a layer of its own on the features.

    Only the images as they are count for the classes. The layer plays no part in the logits; `rotpred` reads it.
    """

    def __init__(self, settings: Rotation, features: int) -> None:
        super().__init__()
        self.settings = settings
        self.layer = nn.Linear(features, 4)

    def auxiliary_inputs(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> AuxiliaryInputs:
        """The inputs turned by 90, 180 and 270 degrees, in this order."""
        return AuxiliaryInputs(torch.cat([inputs.rot90(turns, (2, 3)) for turns in (1, 2, 3)]))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.layer(torch.cat([batch.features, batch.auxiliary["rotation"].features]))
        turns = torch.arange(4, device=logits.device).repeat_interleave(len(batch.features))
        each = F.cross_entropy(logits, turns, reduction="none").view(4, -1).mean(0)
        return {"rotation": self.settings.weight * mean(each, batch.weights)}

    def readout(self, outputs: ForwardOutputs) -> Tensor:
        """Cross-entropy of each of the four turns [N,4], that of no turn first."""
        turned = [outputs.features_of(outputs.inputs.rot90(turns, (2, 3))) for turns in (1, 2, 3)]
        chances = torch.stack([self.layer(h).log_softmax(1) for h in (outputs.features, *turned)], 1)
        return -chances.diagonal(dim1=1, dim2=2)

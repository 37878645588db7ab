"""Distillation of a frozen teacher: its logits and its features."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.common.arithmetic import autocast
from synthood.training.heads import Batch, Term
from synthood.training.losses import cosine_distance, logit_distillation
from synthood.training.model import Classifier
from synthood.training.settings import Teacher


class Distillation(Term):
    """Logits by Hinton's loss, features by 1 - cos(P(h), g) with a linear P on the student's side.

    `feature_form: released` is the papers' code instead: KL(softmax(A(g)) || softmax(h)) with an adapter A on the
    teacher's side that is trained along, the target not detached (OAL, arXiv 2406.16525).
    """

    def __init__(self, settings: Teacher, teacher: Classifier, features: int) -> None:
        super().__init__()
        self.settings = settings
        # In a list, so that the teacher's weights stay out of this module's state.
        self.teacher = [teacher.network.eval().requires_grad_(False)]
        width = teacher.network.head.in_features
        self.projection: nn.Module | None = None
        if settings.feature_weight:
            self.projection = (
                nn.Linear(features, width) if settings.feature_form == "cosine" else adapter(width, features)
            )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        settings = self.settings
        with torch.no_grad(), autocast(batch.precision, batch.inputs.device):
            target = self.teacher[0].features(batch.inputs)
            target_logits = self.teacher[0].head(target)
        target, target_logits = target.float(), target_logits.float()
        losses = {}
        if settings.logit_weight:
            distance = logit_distillation(batch.logits, target_logits, settings.temperature, batch.weights)
            losses["logit_distillation"] = settings.logit_weight * distance
        if self.projection is not None and settings.feature_form == "cosine":
            distance = cosine_distance(self.projection(batch.features), target, batch.weights)
            losses["feature_distillation"] = settings.feature_weight * distance
        elif self.projection is not None and len(target) == 1:
            # The adapter's batch normalisation knows nothing of a batch of one.
            losses["feature_distillation"] = 0 * batch.features.sum()
        elif self.projection is not None:
            moved = F.log_softmax(self.projection(target), 1)
            distance = F.kl_div(F.log_softmax(batch.features, 1), moved, reduction="batchmean", log_target=True)
            losses["feature_distillation"] = settings.feature_weight * distance
        return losses


def adapter(teacher_features: int, features: int) -> nn.Module:
    """The released code's adapter of the teacher's features."""
    return nn.Sequential(
        nn.BatchNorm1d(teacher_features), nn.Linear(teacher_features, features), nn.ReLU(), nn.BatchNorm1d(features)
    )

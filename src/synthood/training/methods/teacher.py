"""Distillation of a frozen teacher: its logits and its features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, lazy, nn, torch
from synthood.common.settings import Name, Positive, Ref, Seed
from synthood.errors import SynthoodError
from synthood.training.methods.base import Method
from synthood.training.methods.term import Batch, Context, Term
from synthood.training.terms.losses import cosine_distance, logit_distillation

if TYPE_CHECKING:
    from synthood.training.networks import frozen
    from synthood.training.networks.model import Classifier, ImageModel
else:
    frozen = lazy("synthood.training.networks.frozen")


class Teacher(Method):
    """Distillation of a teacher's logits and features."""

    key = "teacher"
    paper = "arXiv 1503.02531"
    order = 1

    kind: Literal["teacher"] = "teacher"
    recipe: Annotated[
        Name,
        Ref("recipes", seed="seed"),
        Field(description="the teacher's recipe, trained with `seed` or the student's own"),
    ]
    seed: Annotated[Seed | None, Field(description="training seed of the teacher; null: the student's")] = None
    logit_weight: Annotated[float, Field(ge=0, description="of the logits' divergence in the loss")] = 4.0
    temperature: Annotated[Positive, Field(description="of the logits")] = 1.0
    feature_weight: Annotated[float, Field(ge=0, description="of the features' distance in the loss")] = 0.0
    feature_form: Annotated[
        Literal["cosine", "released"],
        Field(description="cosine: a projection of the student's features; released: the papers' code"),
    ] = "cosine"
    inputs: Annotated[
        Literal["own", "student"],
        Field(
            description="what the teacher sees: pixels by its own normalisation, or the student's inputs as they are"
        ),
    ] = "own"
    learning_rate: Annotated[
        Positive | None,
        Field(description="of the projection or adapter of features; the recipe's head_learning_rate if null"),
    ] = None

    @property
    def per_sample(self) -> bool:  # type: ignore[override]  # by its form, where others have a constant
        return self.feature_form != "released"

    def terms(self, context: Context) -> dict[str, Term]:
        student = context.classifier
        if context.teacher is None or student is None:
            return {}
        teacher = load_teacher(context.teacher, student, next(student.network.parameters()).device)
        if isinstance(student, frozen.FeatureClassifier):
            teacher = frozen.FeatureClassifier.above(teacher, student.backbone, context.teacher)
        return {"distillation": Distillation(self, teacher, context.features, student)}


SHOWN = 4


class Distillation(Term):
    """Logits by Hinton's loss, features by 1 - cos(P(h), g) with a linear P on the student's side.

    `feature_form: released` is the papers' code instead: KL(softmax(A(g)) || softmax(h)) with an adapter A on the
    teacher's side that is trained along, the target not detached (OAL, arXiv 2406.16525). A teacher of another
    normalisation than the student's sees the same pixels by its own; that code gives it the student's inputs
    (`inputs: student`).
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, settings: Teacher, teacher: Classifier, features: int, student: ImageModel | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        # In a list, so that the teacher's weights stay out of this module's state.
        self.teacher = [teacher.network.eval().requires_grad_(False)]
        self.learning_rate = settings.learning_rate
        width = teacher.network.head.in_features
        own = student if settings.inputs == "own" else None
        scale, shift = (torch.ones(0), torch.zeros(0)) if own is None else renormalisation(own, teacher)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        self.projection: nn.Module | None = None
        if settings.feature_weight:
            self.projection = (
                nn.Linear(features, width) if settings.feature_form == "cosine" else adapter(width, features)
            )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        from synthood.common.arithmetic import autocast

        settings = self.settings
        with torch.no_grad(), autocast(batch.precision, batch.inputs.device):
            target = self.teacher[0].features(self.seen(batch.inputs))
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

    def seen(self, inputs: Tensor) -> Tensor:
        """The student's inputs [N,3,H,W] as the teacher's."""
        return inputs if not len(self.scale) else inputs * self.scale + self.shift


def renormalisation(student: ImageModel, teacher: ImageModel) -> tuple[Tensor, Tensor]:
    """Factor and summand [3,1,1] from the student's normalisation to the teacher's; empty where they are the same."""
    if (student.mean, student.deviation) == (teacher.mean, teacher.deviation):
        return torch.ones(0), torch.zeros(0)
    mean, deviation, their_mean, their_deviation = (
        torch.tensor(values, dtype=torch.float64).view(3, 1, 1)
        for values in (student.mean, student.deviation, teacher.mean, teacher.deviation)
    )
    return (deviation / their_deviation).float(), ((mean - their_mean) / their_deviation).float()


def load_teacher(path: Path, student: Classifier, device: torch.device) -> Classifier:
    """A frozen teacher of the student's classes; its normalisation and its size of images may be others."""
    from synthood.training.networks.model import Classifier

    teacher = Classifier.load(path)
    if teacher.classes != student.classes:
        raise SynthoodError(
            f"{path}: the teacher's classes are {listed(teacher.classes)}, the student's {listed(student.classes)}; "
            f"distil a teacher of the same classes in the same order"
        )
    teacher.network.to(device).requires_grad_(False)
    return teacher


def listed(names: list[str]) -> str:
    """The first few names, and how many there are."""
    return f"{', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''} ({len(names)} in all)"


def adapter(teacher_features: int, features: int) -> nn.Module:
    """The released code's adapter of the teacher's features."""
    return nn.Sequential(
        nn.BatchNorm1d(teacher_features), nn.Linear(teacher_features, features), nn.ReLU(), nn.BatchNorm1d(features)
    )

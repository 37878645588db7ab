"""A loss that a user wrote: a class in a Python file of theirs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, nn, torch
from synthood.common.user_code import Text, UserFile, call
from synthood.errors import SynthoodError
from synthood.training.methods.base import Method
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context, Term


class CustomLoss(UserFile, Method):
    """A class of yours: `Class(features, classes, **values)` is a module that gives the weighted loss of a batch."""

    key = "custom"
    order = 10
    hard_labels = True
    per_sample = False

    kind: Literal["custom"] = "custom"
    class_: Annotated[Text, Field(alias="class", description="the class in it")] = "Loss"

    def terms(self, context: Context) -> dict[str, Term]:
        return {"custom": UserTerm(self, context.features, context.classes)}

    def dry_run(self, side: int = 32) -> None:
        """Builds the loss and takes a step on made-up numbers; raises SynthoodError with file and line."""
        random = torch.Generator().manual_seed(0)
        term, head = UserTerm(self, 8, 3), nn.Linear(8, 3)
        inputs, labels = torch.rand((6, 3, 32, 32), generator=random), torch.arange(6) % 3
        auxiliary = term.auxiliary_inputs(inputs, labels, random)
        features = torch.rand((6, 8), generator=random).requires_grad_()
        batch = Batch(inputs, labels, torch.arange(6), head(features), features, head, random)
        if auxiliary is None:
            loss = sum(term(batch).values(), features.sum() * 0)
            call(term.where, loss.backward)


class UserTerm(Term):
    """The user's module, whose result is checked: at each step its shape, at the first one all else."""

    def __init__(self, settings: CustomLoss, features: int, classes: int) -> None:
        super().__init__()
        self.where = settings.where
        self.loss: nn.Module = call(
            self.where, settings.loaded(), features=features, classes=classes, **settings.values
        )
        if not isinstance(self.loss, nn.Module):
            raise SynthoodError(f"{self.where}: must make a torch.nn.Module, got {type(self.loss).__name__}")
        self.checked = False

    def auxiliary_inputs(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> AuxiliaryInputs | None:
        if not isinstance(self.loss, Term):
            return None
        images: AuxiliaryInputs | None = call(self.where, self.loss.auxiliary_inputs, inputs, labels, random)
        return images

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        names = () if self.checked else ("inputs", "labels", "logits", "features")
        seen: dict[str, Tensor] = {name: getattr(batch, name) for name in names}
        before = {name: value.detach().clone() for name, value in seen.items()}
        found = call(self.where, self.loss, batch)
        losses = found if isinstance(found, dict) else {"custom": found}
        for name, loss in losses.items():
            if not isinstance(loss, torch.Tensor) or loss.shape != ():
                shape = list(loss.shape) if hasattr(loss, "shape") else type(loss).__name__
                raise SynthoodError(f"{self.where}: {name} must be a loss of the batch, a tensor [], got {shape}")
            if not self.checked and not loss.isfinite():
                raise SynthoodError(f"{self.where}: {name} is not finite ({float(loss.detach())}) at the first step")
        for name, value in seen.items():
            if not torch.equal(value, before[name]):
                raise SynthoodError(f"{self.where}: changes batch.{name}, which other losses see; work on a copy")
        self.checked = True
        return losses

    def adjust_logits(self, logits: Tensor, batch: Batch) -> Tensor:
        return self.loss.adjust_logits(logits, batch) if isinstance(self.loss, Term) else logits

    def after_step(self, head: nn.Linear) -> None:
        if isinstance(self.loss, Term):
            self.loss.after_step(head)

"""What all methods of training share: where a recipe names them, and what they do to a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Positive
from synthood.plugins import Plugin, without_kind

if TYPE_CHECKING:
    from synthood.training.methods.term import Context, Term

Weight = Annotated[Positive, Field(description="of the term in the loss")]


class Method(Plugin):
    """A method that a recipe adds to cross-entropy: its fields are the keys below the recipe's `key`."""

    key: ClassVar[str]
    """The recipe's key; where several methods have one, `kind` chooses."""
    meaning: ClassVar[str | None] = None
    """Description of the key in the reference, before the methods' own."""
    order: ClassVar[int] = 100
    """Methods act in this order, those of one number in that of their keys."""
    head: ClassVar[str | None] = None
    """The name of its trained head, whose output detectors read."""
    hard_labels: ClassVar[bool] = False
    """Whether it needs one label per sample, so that labels cannot be mixed."""
    mixes_labels: ClassVar[bool] = False
    """Whether it mixes the labels that cross-entropy sees."""
    of_directions: ClassVar[bool] = False
    """Whether its loss sees directions alone, of logits or class weights: a small new head would learn in leaps."""
    needs_pixels: ClassVar[str] = ""
    """Why it cannot learn from cached features of a frozen backbone; empty where it can."""
    per_sample: ClassVar[bool] = True
    """Whether its loss is a mean over samples, which samples' weights can replace."""

    kind: str

    @property
    def place(self) -> str:
        """How messages call it."""
        return self.key if self.key == self.kind else f"{self.key}.kind {self.kind}"

    def check_recipe(self, recipe: Any) -> None:
        """Raises ValueError where it does not go together with the recipe's other keys."""

    def check_images(self, height: int, width: int) -> None:
        """Raises SynthoodError where it cannot be used with images of this size."""

    def check_classes(self, counts: dict[str, int], recipe: Any) -> None:
        """Raises SynthoodError where a recipe has too few training images of a class for it, by the classes' names."""

    def mixed(self, inputs: Tensor, labels: Tensor, classes: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs [N,3,H,W] or [N,D] and targets of cross-entropy, from inputs and labels int64 [N]."""
        return inputs, labels

    def adjusted_features(self, features: Tensor) -> Tensor:
        """Features [N,D] as the last layer sees them in training; as they are unless overridden."""
        return features

    def adjusted_logits(self, logits: Tensor) -> Tensor:
        """Logits [N,C] as cross-entropy sees them; as they are unless overridden."""
        return logits

    def terms(self, context: Context) -> dict[str, Term]:
        """What it adds to the loss, by name; `extract` builds those of a `head` again to read their output."""
        return {}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        found = super().__get_pydantic_json_schema__(schema, handler)
        return without_kind(found) if cls.key == cls.model_fields["kind"].default else found

"""What every detector of the model has: evidence of each batch, and a rule that makes it a confidence."""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from synthood.evaluation.access.view import Look, View
from synthood.evaluation.hyperparameters import Values

Rule = Callable[[Tensor], Tensor]
"""Evidence [N,...] to confidence float32 [N], larger for ID."""


class ModelMethod:
    """A detector of one model, for all candidates of its grid at once."""

    learns: ClassVar[bool] = False
    """Whether it sees the training images first."""
    calibrates: ClassVar[bool] = False
    """Whether its rule depends on validation evidence."""
    contrasts: ClassVar[bool] = False
    """Whether its rule depends on that of OOD as well."""
    passed: ClassVar[tuple[str, ...]] = ()
    """The hyperparameters that the evidence depends on; the rule takes the others."""

    def __init__(self, view: View, candidates: list[Values]) -> None:
        self.view, self.candidates = view, candidates

    def observe(self, look: Look, labels: Tensor) -> None:
        """Takes a batch of training images in."""

    def observed(self) -> None:
        """After the last of them."""

    def evidence(self, look: Look, values: Values) -> Tensor:
        """What a batch shows, [N,...], on the CPU; no row depends on another."""
        raise NotImplementedError

    def rule(self, values: Values, inside: Tensor | None, outside: Tensor | None) -> Rule:
        """How evidence becomes a confidence, given that of ID and OOD validation images; as it is unless overridden.

        Raises OutOfRangeError for values that cannot be.
        """
        return lambda evidence: evidence

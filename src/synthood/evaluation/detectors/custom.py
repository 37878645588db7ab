"""A detector that a user wrote: a function in a Python file of theirs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from synthood.common.user_code import Text, UserFile, call, load
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector, Fit, Score
from synthood.evaluation.features import Reference
from synthood.evaluation.hyperparameters import Scalar, combinations
from synthood.evaluation.scoring import UserScore


class Custom(UserFile, Detector):
    """A function of yours: `fit(reference, **values)` gives a score of features, larger for ID."""

    kind: Literal["custom"] = "custom"
    function: Annotated[Text, Field(description="the function in it")] = "fit"
    values: Annotated[
        dict[Text, Scalar | Annotated[list[Scalar], Field(min_length=1)]],
        Field(description="the function's keyword arguments; a list is a grid"),
    ] = {}

    inputs = ("logits", "features")
    fitted_on = ("train", "val")

    @property
    def hyperparameters(self) -> dict[str, Any]:
        return self.values

    def candidates(self) -> list[Self]:
        return [self.model_copy(update={"values": values}) for values in combinations(self.values)]

    def fit(self, reference: Reference) -> Score:
        return self.ready("")(self, reference)

    def ready(self, name: str) -> Fit:
        """Runs the file; SynthoodErrors of its own pass, other errors are reported with file and function."""
        key = f"detectors.{name}" if name else ""
        where = f"{key}: {self.where}".removeprefix(": ")
        function = load(self.file, self.function, key)

        def fit(one: Detector, reference: Reference) -> Score:
            unchanged = reference.unchanged
            score = call(where, function, reference.aliases(), **one.hyperparameters)
            unchanged.check(where)
            if not callable(score):
                raise SynthoodError(f"{where}: must return a function of features, got {type(score).__name__}")
            return UserScore(where, score, reference)

        return fit

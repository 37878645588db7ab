"""A metric that a user wrote: a function in a Python file of theirs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from synthood.common.lazy import np
from synthood.common.settings import Name
from synthood.common.user_code import Text, UserFile, call
from synthood.errors import SynthoodError
from synthood.evaluation.metrics.base import OODMetric
from synthood.evaluation.ordered import Array, Weighted


class CustomMetric(UserFile, OODMetric):
    """A function of yours: `function(ids, oods, **values)` of confidences, larger for ID, gives a number in [0,1]."""

    kind: Literal["custom"] = "custom"
    name: Annotated[Name, Field(description="in the results' column `metric`, and in the heading")]
    function: Annotated[Text, Field(description="the function in it")] = "metric"
    better: Annotated[Literal["higher", "lower"], Field(description="which values are the better ones")] = "higher"
    description: Annotated[str, Field(description="one sentence, for the text above the tables")] = ""

    @field_validator("description")
    @classmethod
    def _one_line(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("must be one line without control characters")
        return text

    @property
    def key(self) -> str:
        return self.name

    @property
    def title(self) -> str:  # type: ignore[override]  # the user's, where other metrics have a constant
        return self.name

    @property
    def lower_is_better(self) -> bool:  # type: ignore[override]  # likewise
        return self.better == "lower"

    @property
    def note(self) -> str:  # type: ignore[override]
        return f"{self.name}: {self.description}" if self.description else ""

    @cached_property
    def _function(self) -> Callable[..., Any]:
        return self.loaded()

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        """Calls the function for each row, with every sample as often as it weighs; raises SynthoodError."""
        return np.array([self._value(*row) for row in zip(ids.repeated(), oods.repeated(), strict=True)])

    def _value(self, ids: Array, oods: Array) -> float:
        for side in (ids, oods):
            side.flags.writeable = False
        value = call(self.where, self._function, ids, oods, **self.values)
        shape = list(np.shape(value))
        if shape or not isinstance(value, int | float | np.number):
            given = f"{shape} numbers" if shape else repr(value)
            raise SynthoodError(f"{self.where}: must give one number, got {given}")
        if not 0 <= value <= 1:
            raise SynthoodError(f"{self.where}: must give a number in [0,1], got {float(value):g}")
        return float(value)

    def dry_run(self, side: int = 32) -> None:
        """Calls the function on made-up confidences; raises SynthoodError with file and line."""
        self._value(np.linspace(0.3, 1, 30), np.linspace(0, 0.7, 20))

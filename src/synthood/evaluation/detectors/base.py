"""What all detectors share: their base class, errors of range, percentiles, class means."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

from synthood.common.lazy import F, Tensor, np, torch
from synthood.errors import SynthoodError
from synthood.evaluation.features import Features as Features
from synthood.evaluation.features import Reference
from synthood.evaluation.hyperparameters import GRID as GRID
from synthood.evaluation.hyperparameters import Access, combinations
from synthood.evaluation.hyperparameters import OutOfRangeError as OutOfRangeError
from synthood.evaluation.moments import pieces
from synthood.evaluation.scoring import Score as Score
from synthood.plugins import Plugin

Grids = dict[str, list[Any]]
"""Values of hyperparameters by name."""
State = dict[str, Any]
"""What a detector is fitted to, by name: tensors, numbers among them, and the `Bank` of training features."""
Input = Literal["logits", "features", "head", "outputs"]
Bound = Literal["features", "below features", "classes", "training images"]
"""What a hyperparameter may be as large as, or must be below."""
TINY = 1e-12

Fit = Callable[["Detector", Reference], Score]
"""Fits a detector without grids."""


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


class Detector(Plugin):
    """A detector: its fields are hyperparameters, each one value or, where it has `GRID`, a list to search."""

    kind: str

    inputs: ClassVar[tuple[Input, ...]] = ()
    """What its score looks at."""
    fitted_on: ClassVar[tuple[Literal["train", "val"], ...]] = ()
    """The parts that it is fitted on."""
    labelled: ClassVar[bool] = False
    """Whether it is fitted on their labels, too."""
    grid: ClassVar[Grids] = {}
    """The values that others search."""
    limited_by: ClassVar[dict[str, Bound]] = {}
    """Hyperparameters that the data bound, so that a configuration can be refused before anything is trained."""
    of_rectified: ClassVar[bool] = False
    """Whether its paper has features of a ReLU in mind; others are scored all the same, and the log says so."""
    reads: ClassVar[str | None] = None
    """The key of a recipe without which it cannot score the recipe's models."""
    access: ClassVar[Access] = "features"
    """What the detector is scored from, and so in which job."""

    compared: ClassVar[str] = ""
    """How its scores compare with pytorch-ood 0.4, whose sign is the other."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Every `fit` refuses a grid, which needs validation data."""
        if fit := vars(cls).get("fit"):

            @functools.wraps(fit)
            def of_one(self: Detector, *given: Any, **named: Any) -> Any:
                if named.get("ood_validation") is None:
                    self.check_no_grid()
                return fit(self, *given, **named)

            cls.fit = of_one  # type: ignore[method-assign]  # what the class defines, checked

    @classmethod
    def facts(cls) -> str:
        sentences = [
            f"Looks at {' and '.join(cls.inputs)}" if cls.inputs else "",
            f"Fitted on {' and '.join(cls.fitted_on)}{', with labels' * cls.labelled}" if cls.fitted_on else "",
            "Meant for features that are never below zero" if cls.of_rectified else "",
            *(f"OpenOOD searches {name} {', '.join(map(_shown, values))}" for name, values in cls.grid.items()),
            f"pytorch-ood: {cls.compared}" if cls.compared else "",
        ]
        return " ".join(f"{sentence}." for sentence in sentences if sentence)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Values by name; lists are grids."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}

    def candidates(self) -> list[Self]:
        """A detector for every combination of the grids' values, the last grid varying fastest."""
        return [self.model_copy(update=values) for values in combinations(self.hyperparameters)]

    def state(self, reference: Reference) -> State:
        """All that the score takes from ID features; raises OutOfRangeError for values that these data cannot have."""
        return {}

    def scorer(self, state: State) -> Score:
        """The score that a state gives, bit for bit the same where the state was saved and loaded."""
        return Score(lambda x: self.confidence(x, state))

    def confidence(self, x: Features, state: State) -> Tensor:
        """Confidence float32 [N], larger for ID; a detector that prepares more than its state defines `scorer`."""
        raise NotImplementedError

    def fit(self, reference: Reference) -> Score:
        """The score, fitted on ID features; raises OutOfRangeError for hyperparameters that these data cannot have."""
        self.check_no_grid()
        return self.restored(self.state(reference))

    def restored(self, state: State) -> Score:
        """The score of a state, with which it can be saved."""
        score = self.scorer(state)
        score.origin = (self, state)
        return score

    def check_no_grid(self) -> None:
        """Raises where a hyperparameter is a list: only validation data can choose."""
        if len(self.candidates()) > 1:
            raise SynthoodError(f"{self.kind}: a grid needs validation data; fit one of its candidates()")

    def ready(self, name: str) -> Fit:
        """What fits each candidate, after all that can fail without data; `name` is that in the configuration."""
        return lambda one, reference: one.fit(reference)

    def readable(self, recipe: object) -> bool:
        """Whether a recipe trains what the detector reads."""
        return self.reads is None or self.reads in getattr(recipe, "heads", ())

    def of_recipe(self, recipe: object) -> Self:
        """The detector with what it takes from a recipe."""
        return self


def at_most(name: str, value: int, limit: int, what: str) -> None:
    """Raises where a hyperparameter is larger than the data allow."""
    if value > limit:
        raise OutOfRangeError(f"{name} {value} is larger than {what} {limit}; set it in detectors")


def at_percentile(values: Tensor, percent: float) -> Tensor:
    """Of all entries, linear between two of them; torch.quantile refuses more than 2^24."""
    position = percent / 100 * (values.numel() - 1)
    places = int(position), min(int(position) + 1, values.numel() - 1)
    ordered = torch.from_numpy(np.partition(values.flatten().cpu().numpy(), places)).to(values.device)
    low, high = ordered[places[0]], ordered[places[1]]
    return low + (high - low) * (position - int(position))


def head_state(reference: Reference) -> State:
    """The last layer."""
    return {"weight": reference.weight, "bias": reference.bias}


def head_logits(features: Tensor, state: State) -> Tensor:
    """W h + b; [N,C]."""
    return F.linear(features, state["weight"], state["bias"])


def class_means(values: Tensor, labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    """Means [C,D] of the rightly classified samples of each class; of all of a class where none is.

    Raises where a class has no sample.
    """
    counted = labels.clone()
    right = torch.bincount(labels[labels == predictions], minlength=classes) > 0
    counted[right[labels] & (labels != predictions)] = classes
    sums = values.new_zeros((classes + 1, values.shape[1]), dtype=torch.float64)
    for place, rows in pieces(values):
        sums.index_add_(0, counted[place], rows.double())
    counts = torch.bincount(counted, minlength=classes + 1)[:classes]
    if (counts == 0).any():
        raise SynthoodError(f"class {int((counts == 0).nonzero()[0])} has no training sample; train on every class")
    return sums[:classes] / counts[:, None]

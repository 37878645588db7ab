"""What every detector of the model has: a statistic of each batch, and a scorer that makes it a confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from pydantic import Field

from synthood.common.lazy import Tensor, lazy, nn, pd
from synthood.common.settings import PERCENT, unless
from synthood.evaluation.detectors.base import Detector, State
from synthood.evaluation.hyperparameters import GRID, Values
from synthood.evaluation.probe import BatchView, Probe
from synthood.evaluation.scoring import Score

if TYPE_CHECKING:
    from synthood.training.networks.model import Classifier

# Not for digests to see: what callers from Python need changes no score
of_module = lazy("synthood.evaluation.of_module")
Scorer = Callable[["Tensor"], "Tensor"]
"""A statistic [N,...] to confidence float32 [N], larger for ID."""
CONFIDENCE = "confidence"
"""The output of samples that have been through the detector."""
PIXELS = unless(lambda value: value > 0.1, "expected at most 0.1 of the pixels' range [0,1]; divide 0 to 255 by 255")
Noise = Annotated[
    float, Field(ge=0, lt=1), PIXELS, GRID, Field(description="of each pixel, in units of the range [0,1]")
]
Percent = Annotated[float, Field(gt=0, lt=100), PERCENT, GRID]


class FittedOnModel(Protocol):
    """A detector fitted on a model; `search` has a row for each candidate of a grid."""

    @property
    def search(self) -> pd.DataFrame: ...

    def score(self, images: Any) -> Tensor: ...


class ModelDetector(Detector):
    """A detector that needs the model itself; `method` computes it for all candidates of its grid at once."""

    method: ClassVar[type[ModelMethod]]

    def fit(  # type: ignore[override]  # of a model and images, where others are fitted on features
        self,
        model: nn.Module | Classifier,
        train: Any = None,
        labels: Any = None,
        *,
        val: Any = None,
        ood_validation: Any = None,
        layer: str | None = None,
        maps: Sequence[str] | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
    ) -> FittedOnModel:
        """Fitted on a model, whose `score(images)` is the confidence float32 [N]; the model is left as it was.

        Images are batches as `features_of` takes them: uint8 [N,H,W,3] in [0,255], of which `mean` and `std` of pixels
        in [0,1] make inputs, or the model's inputs float [N,3,H,W]. `layer` is the linear layer of the logits, `maps`
        the modules whose outputs are the maps, for models that are not this package's. Raises SynthoodError where
        something that this detector needs is missing.
        """
        found: FittedOnModel = of_module.fit(self, model, train, labels, val, ood_validation, layer, maps, mean, std)
        return found

    def scorer(self, state: State) -> Score:
        """Of samples whose `outputs` have what the detector found in their images."""
        return Score(lambda x: x.outputs[CONFIDENCE])


class OfMaps(ModelDetector):
    """Scored in one pass that sees the maps between the layers."""

    access = "maps"


class OfGradients(ModelDetector):
    """Scored with gradients in the images."""

    access = "gradients"


class ModelMethod:
    """A detector of one model, for all candidates of its grid at once."""

    needs_train: ClassVar[bool] = False
    """Whether it sees the training images first."""
    needs_val: ClassVar[bool] = False
    """Whether its scorer depends on the statistic of validation images."""
    needs_ood_val: ClassVar[bool] = False
    """Whether its scorer depends on that of OOD as well."""
    pass_params: ClassVar[tuple[str, ...]] = ()
    """The hyperparameters that the statistic depends on; the scorer takes the others."""

    def __init__(self, probe: Probe, candidates: Sequence[Values]) -> None:
        self.probe, self.candidates = probe, candidates

    def observe(self, batch: BatchView, labels: Tensor) -> None:
        """Takes a batch of training images in."""

    def observed(self) -> None:
        """After the last of them."""

    def learned(self) -> State:
        """All that was taken from training images, by name."""
        return {}

    def restore(self, state: State) -> None:
        """Takes what `learned` gave, in the place of training images."""

    def statistic(self, batch: BatchView, values: Values) -> Tensor:
        """What a batch shows, [N,...], on the CPU; no row depends on another."""
        raise NotImplementedError

    def state(self, values: Values, inside: Tensor | None, outside: Tensor | None) -> State:
        """All that the scorer takes from the statistics of ID and OOD validation images, by name.

        Raises OutOfRangeError for values that cannot be.
        """
        return {}

    def scorer(self, values: Values, state: State) -> Scorer:
        """How the statistic becomes a confidence; unchanged by default."""
        return lambda statistic: statistic


def in_order(state: State, name: str) -> list[Tensor]:
    """The tensors `name.0`, `name.1`, ... of a state."""
    count = sum(key.startswith(f"{name}.") for key in state)
    return [state[f"{name}.{index}"] for index in range(count)]

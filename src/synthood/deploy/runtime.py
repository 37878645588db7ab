"""What a server needs of an exported detector, whichever library computes it."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from synthood.deploy.calibration import Calibration
from synthood.deploy.facts import Facts
from synthood.deploy.inputs import Preprocessing


class Verdicts(NamedTuple):
    """Of N images: probabilities float32 [N,C], confidence float32 [N], larger for ID, and p-values float64 [N]."""

    probabilities: NDArray[np.float32]
    confidence: NDArray[np.float32]
    p_value: NDArray[np.float64]


class Runtime(Protocol):
    """A detector in memory."""

    @property
    def calibration(self) -> Calibration: ...
    @property
    def preprocessing(self) -> Preprocessing: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def is_parallel(self) -> bool:
        """Whether several threads may judge at a time, each on one core."""
        ...

    @property
    def library(self) -> str:
        """Name and version of what computes."""
        ...

    def use_one_core(self) -> None:
        """Before several threads judge at a time: each pass then takes one core."""
        ...

    def judge(self, images: NDArray[np.uint8]) -> Verdicts:
        """Of images uint8 [N,H,W,3] of the model's size; raises SynthoodError where a value is not finite."""
        ...

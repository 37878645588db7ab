"""What new images are compared with: the calibration images of a detector, or the first periods themselves."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synthood.deploy import conformal
from synthood.deploy.calibration import Calibration, Labels
from synthood.deploy.conformal import Array
from synthood.monitor import drift
from synthood.monitor.drift import Counts


class Reference(Protocol):
    """Confidences [n] of known images, how many are of each predicted class [C], and their rejection rate."""

    @property
    def name(self) -> str: ...
    @property
    def confidences(self) -> Array: ...
    @property
    def classes(self) -> Counts: ...
    @property
    def rate(self) -> float:
        """That is promised, or was seen."""

    @property
    def interval(self) -> tuple[float, float]:
        """In which the true rate lies (95 %)."""

    def more(self, rejected: int, labels: Labels) -> float:
        """The p-value that more images of predicted classes `labels` [m] are rejected than of the known ones."""


@dataclass(frozen=True)
class Calibrated:
    """The calibration images of one detector, at a level; groups of classes have their own thresholds."""

    calibration: Calibration
    level: float

    @property
    def name(self) -> str:
        return f"{len(self.calibration)} calibration images"

    @property
    def confidences(self) -> Array:
        return self.calibration.confidences

    @property
    def classes(self) -> Counts:
        return np.bincount(self.calibration.predictions, minlength=len(self.calibration.groups))

    @property
    def rate(self) -> float:
        return self.level

    @property
    def interval(self) -> tuple[float, float]:
        """From the least to the largest end of all groups' Beta intervals; from 0 with ties."""
        found = []
        for group in np.unique(self.calibration.groups).tolist():
            own = self.calibration.confidences[self.calibration.members(group)]
            if conformal.rank(self.level, len(own)):
                found.append(conformal.Threshold.of(own, self.level).true_rate)
        return min(low for low, _ in found), max(high for _, high in found)

    def more(self, rejected: int, labels: Labels) -> float:
        sizes = np.bincount(self.calibration.groups[self.calibration.predictions])
        counts = np.bincount(self.calibration.groups[labels], minlength=len(sizes))
        known = [int(sizes[group]) if group < len(sizes) else 0 for group in range(len(counts))]
        groups = ((int(m), conformal.rank(self.level, n), n) for m, n in zip(counts, known, strict=True) if m)
        return float(drift.rejection_tails(tuple(groups))[rejected])


@dataclass(frozen=True)
class Baseline:
    """The images of the first periods, where no calibration is to be compared with."""

    name: str
    confidences: Array
    classes: Counts
    rejected: int

    @property
    def rate(self) -> float:
        return self.rejected / len(self.confidences)

    @property
    def interval(self) -> tuple[float, float]:
        return conformal.rate_interval(self.rejected, len(self.confidences))

    def more(self, rejected: int, labels: Labels) -> float:
        return drift.more_rejected(rejected, len(labels), self.rejected, len(self.confidences))

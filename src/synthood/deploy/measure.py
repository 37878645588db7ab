"""What an exported detector does on test images: false alarms against the promise, and the detection of OOD sets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from synthood.deploy import conformal
from synthood.deploy.calibration import Calibration
from synthood.deploy.conformal import COVERAGE, Array, Threshold, rate_interval

Interval = tuple[float, float]
TAIL = (1 - COVERAGE) / 2


@dataclass(frozen=True)
class FalseAlarms:
    """ID images that a level rejects, and the interval in which the calibration's promise puts their share.

    `kept` is false where the share is above it. With folds there is no law, and the interval ends at the bound.
    """

    level: float
    rejected: int
    count: int
    promised: Interval

    @property
    def rate(self) -> float:
        return self.rejected / self.count

    @property
    def kept(self) -> bool:
        return self.rate <= self.promised[1]


@dataclass(frozen=True)
class Detection:
    """An OOD set against the ID test images: AUROC and the share of it above 95 % of ID, with intervals, and the share
    that each level rejects."""

    count: int
    auroc: float | None
    auroc_interval: Interval | None
    fpr95: float | None
    fpr95_interval: Interval | None
    rejected: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Measured:
    """Figures on test images that nothing was chosen by; empty where there are none."""

    count: int = 0
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    false_alarms: list[FalseAlarms] = field(default_factory=list)
    ood: dict[str, Detection] = field(default_factory=dict)

    def header(self) -> dict[str, Any]:
        """As JSON."""
        alarms = [asdict(one) | {"rate": one.rate, "kept": one.kept} for one in self.false_alarms]
        return {**asdict(self), "false_alarms": alarms}


@dataclass(frozen=True)
class Judged:
    """Images as the detector sees them: predicted classes [N], confidences [K,N] and p-values [N]."""

    predictions: NDArray[np.int64]
    confidences: NDArray[np.float32]
    p_values: Array

    def __len__(self) -> int:
        return len(self.predictions)


def figures(
    calibration: Calibration, test: Judged | None, labels: NDArray[np.int64] | None, ood: Mapping[str, Judged]
) -> Measured:
    """Of judged ID test images, with labels where they are known, and OOD sets."""
    if test is None:
        return Measured(ood={name: detection(calibration, None, one) for name, one in ood.items()})
    hits = None if labels is None else int((test.predictions == labels).sum())
    return Measured(
        len(test),
        None if hits is None else hits / len(test),
        None if hits is None else rate_interval(hits, len(test)),
        false_alarms(calibration, test),
        {name: detection(calibration, test, one) for name, one in ood.items()},
    )


def false_alarms(calibration: Calibration, test: Judged) -> list[FalseAlarms]:
    """Of every level."""
    return [
        FalseAlarms(
            level, int((test.p_values <= level).sum()), len(test), promised(calibration, level, test.predictions)
        )
        for level in calibration.levels
    ]


def promised(calibration: Calibration, level: float, predictions: NDArray[np.int64]) -> Interval:
    """95 % of the law of the rejected share, beta-binomial in each group of classes and independent between them."""
    if calibration.fold_count > 1:
        return 0.0, conformal.cross_bound(level, len(calibration), calibration.fold_count)
    laws, tied = [], False
    for group, count in zip(*np.unique(calibration.groups[predictions], return_counts=True), strict=True):
        own = calibration.confidences[calibration.members(group)]
        if not conformal.rank(level, len(own)):
            laws.append(np.eye(1, int(count) + 1)[0])
            continue
        threshold = Threshold.of(own, level)
        laws.append(threshold.distribution(int(count)).pmf(np.arange(count + 1)))
        tied |= threshold.ties > 1
    steps = np.cumsum(reduce(np.convolve, laws))
    low, high = (int(np.searchsorted(steps, share)) / len(predictions) for share in (TAIL, 1 - TAIL))
    return (0.0 if tied else low), high


def detection(calibration: Calibration, test: Judged | None, ood: Judged) -> Detection:
    """Of one OOD set; without AUROC and FPR95 where there are no ID test images."""
    rejected = {}
    for level in calibration.levels:
        hits = int((ood.p_values <= level).sum())
        rejected[f"{level:g}"] = (hits / len(ood), *rate_interval(hits, len(ood)))
    if test is None:
        return Detection(len(ood), None, None, None, None, rejected)
    inside, outside = test.confidences.mean(0), ood.confidences.mean(0)
    area, interval = auroc(inside, outside)
    accepted = int((outside >= np.sort(inside)[int(0.05 * len(inside))]).sum())
    return Detection(len(ood), area, interval, accepted / len(ood), rate_interval(accepted, len(ood)), rejected)


def auroc(inside: ArrayLike, outside: ArrayLike) -> tuple[float, Interval]:
    """Area with DeLong's interval on the scale of its log odds (Biometrics 44, 1988; Pepe 2003, section 5.2).

    Where no pair is in the wrong order, its lower end is that of as many Bernoulli trials as the smaller side has.
    """
    from scipy.stats import rankdata  # its import takes a second, and the server does without

    x, y = np.asarray(inside, np.float64), np.asarray(outside, np.float64)
    both = rankdata(np.concatenate([x, y]))
    # The share of the other side that each sample is above, ties half
    above = (both[: len(x)] - rankdata(x)) / len(y)
    below = 1 - (both[len(x) :] - rankdata(y)) / len(x)
    area = float(above.mean())
    if area in (0.0, 1.0):
        end = TAIL ** (1 / min(len(x), len(y)))
        return area, (end, 1.0) if area else (0.0, 1 - end)
    variance = sum(float(one.var(ddof=1)) / len(one) if len(one) > 1 else 0.25 for one in (above, below))
    odds, reach = np.log(area / (1 - area)), -float(ndtri(TAIL)) * variance**0.5 / (area * (1 - area))
    low, high = (float(1 / (1 + np.exp(-end))) for end in (odds - reach, odds + reach))
    return area, (low, high)

"""Periods of images against a reference: rates, drift tests, and the alarms that they raise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthood.deploy import conformal
from synthood.deploy.calibration import Labels
from synthood.deploy.conformal import Array
from synthood.monitor import drift
from synthood.monitor.reference import Reference

TESTS = {
    "rate": "more images are rejected (beta-binomial; Fisher's test against a baseline)",
    "lower": "confidences are lower (Mann-Whitney, one-sided)",
    "changed": "confidences are distributed otherwise (Kolmogorov-Smirnov, two-sided)",
    "classes": "a class is predicted more or less often (Fisher, times the number of classes)",
}
ALERT = ("rate", "lower", "changed")
WINDOW = {"hour": 24, "day": 7, "week": 4, "batch": 5}
"""Periods that are also tested together: a slow drift shows in no single one."""


@dataclass(frozen=True)
class Period:
    """Readable images of an hour, day, week or batch: confidences, p-values, predictions [m]; its place on the axis."""

    name: str
    place: float
    unreadable: int
    confidences: Array
    p_values: Array
    predictions: Labels

    def __len__(self) -> int:
        return len(self.confidences)


@dataclass(frozen=True)
class Judgement:
    """`p` [T,2,tests] of each period alone and of the window that ends with it, NaN where no image was readable.

    `rejected` [T]. A period whose least `adjusted` p-value [T,2,alert] is at most alpha raises an alarm.
    """

    periods: Sequence[Period]
    reference: Reference
    rejected: Labels
    p: Array
    adjusted: Array
    alert: Sequence[str]
    alpha: float
    window: int

    @property
    def alarms(self) -> list[int]:
        """Numbers of the periods that raise one."""
        return np.flatnonzero((self.adjusted <= self.alpha).any((1, 2))).tolist()

    def reason(self, at: int) -> str:
        """The tests that raise an alarm; `window` those of the window."""
        found = [
            name + " (window)" * window
            for window in (0, 1)
            for number, name in enumerate(self.alert)
            if self.adjusted[at, window, number] <= self.alpha
        ]
        return ", ".join(found)

    def began(self) -> int | None:
        """The period with which the drift most likely began, where there is an alarm."""
        some = [at for at in range(len(self.periods)) if len(self.periods[at])]
        if not self.alarms or len(some) < 2:
            return None
        some = some[: some.index(self.alarms[-1]) + 1]
        if len(some) < 2:
            return None
        known = [conformal.p_values(self.reference.confidences, self.periods[at].confidences) for at in some]
        return some[drift.onset([one.sum() for one in known], [len(one) for one in known])]


def judge(
    periods: Sequence[Period],
    reference: Reference,
    level: float,
    alert: Sequence[str] = ALERT,
    alpha: float = 0.05,
    window: int = 7,
    first: int = 0,
) -> Judgement:
    """Tests every period, and with the `window` - 1 before it, from number `first` on against the reference.

    If all images are drawn like those of the reference, the chance of any alarm, in however many periods, is at most
    `alpha`: the t-th period with images may spend alpha / (t (t + 1)) of it, an equal part for each of its tests.
    """
    rejected = np.array([int((one.p_values <= level).sum()) for one in periods], np.int64)
    p = np.full((len(periods), 2, len(TESTS)), np.nan)
    some = [at for at in range(first, len(periods)) if len(periods[at])]
    for number, at in enumerate(some):
        p[at, 0] = p_values([periods[at]], int(rejected[at]), reference)
        together = some[max(0, number - window + 1) : number + 1]
        p[at, 1] = p_values([periods[k] for k in together], int(rejected[together].sum()), reference)
    names = list(TESTS)
    adjusted = np.full((len(periods), 2, len(alert)), np.nan)
    spent = drift.factor(np.arange(1, len(some) + 1))[:, None, None] * 2 * len(alert)
    adjusted[some] = np.minimum(1, p[some][:, :, [names.index(name) for name in alert]] * spent)
    return Judgement(periods, reference, rejected, p, adjusted, alert, alpha, window)


def p_values(periods: Sequence[Period], rejected: int, reference: Reference) -> list[float]:
    """Of every test of `TESTS`, for periods taken together."""
    new = np.concatenate([one.confidences for one in periods])
    labels = np.concatenate([one.predictions for one in periods])
    n, m = len(reference.confidences), len(new)
    u, distance = drift.compare(reference.confidences, new)
    counts = np.bincount(labels, minlength=len(reference.classes))
    return [
        reference.more(rejected, labels),
        float(drift.lower(u, n, m)),
        drift.changed(int(distance), n, m),
        min(1.0, len(counts) * float(drift.class_shifts(counts, reference.classes).min())),
    ]


def table(found: Judgement) -> pd.DataFrame:
    """A row for each period: counts, rates with intervals, p-values, and which tests raise an alarm."""
    sizes = np.array([len(one) for one in found.periods])
    low, high = drift.wilson(found.rejected, sizes)
    some = np.where(sizes > 0, 1.0, np.nan)
    least, most = found.reference.interval
    columns = {
        "period": [one.name for one in found.periods],
        "images": sizes,
        "unreadable": [one.unreadable for one in found.periods],
        "rejected": found.rejected,
        "rate": found.rejected / np.maximum(sizes, 1) * some,
        "rate_low": low * some,
        "rate_high": high * some,
        "promised": found.reference.rate,
        "promised_low": least,
        "promised_high": most,
        "median_confidence": [np.median(one.confidences) if len(one) else np.nan for one in found.periods],
        **{
            f"p_{name}{'_window' * window}": found.p[:, window, number]
            for window in (0, 1)
            for number, name in enumerate(TESTS)
        },
        "p_adjusted": [np.nan if np.isnan(one).all() else np.nanmin(one) for one in found.adjusted],
        "alarm": [found.reason(at) for at in range(len(found.periods))],
    }
    return pd.DataFrame(columns)


def class_table(found: Judgement, classes: Sequence[str]) -> pd.DataFrame:
    """A row for each period and class: images, share, that of the reference, two-sided p-value of Fisher's test."""
    known, parts = found.reference.classes, []
    for one in found.periods:
        if not len(one):
            continue
        counts = np.bincount(one.predictions, minlength=len(classes))
        columns = {
            "period": one.name,
            "label": list(classes),
            "images": counts,
            "share": counts / len(one),
            "reference_share": known / known.sum(),
            "p_value": drift.class_shifts(counts, known),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)

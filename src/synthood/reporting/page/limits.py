"""The limits of the page's warnings and of the colours of its galleries; docs/report.md lists them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A figure is good up to `good`, poor beyond `poor`, and fair between; `lower` where small figures are good."""

    good: float
    poor: float
    lower: bool = True

    def judge(self, value: float | None) -> str:
        """good, fair or poor; nothing where there is no figure."""
        if value is None or value != value:
            return ""
        sign = 1 if self.lower else -1
        if sign * value <= sign * self.good:
            return "good"
        return "poor" if sign * value > sign * self.poor else "fair"


COPYING = Limit(good=-2, poor=-3, lower=False)
"""Three-sample test: below -3 the images are nearer to the training set than test images are (docs/generators.md)."""
COPY_SHARE = Limit(good=0.02, poor=0.05)
"""Of images nearer to a training image than 1 % of test images are."""
AGREEMENT = Limit(good=0.9, poor=0.7, lower=False)
DIVERSITY = Limit(good=0.8, poor=0.5, lower=False)
SELECTED = Limit(good=0.99, poor=0.9, lower=False)
"""Percentile of boundary points among their candidates (docs/outliers.md)."""
INTENDED = Limit(good=0.1, poor=0.5)
MISLABELLED = Limit(good=0.1, poor=0.25)
CALLED_ID = Limit(good=0.1, poor=0.25)

CHANCE = 50.0
"""AUROC in percent."""
SATURATED = 0.005
"""Points from a metric's best value, so that two decimals print that value."""
MOST_SATURATED = 0.25
"""Share of a set's cells."""
LEAST_TRAINING_ACCURACY = 0.7
STILL_RISING = 0.02
"""Training accuracy of the last tenth of the epochs minus that of the tenth before."""

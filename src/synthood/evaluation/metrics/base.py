"""What all metrics share: the columns of a table, each a share or an area in [0,1]."""

from __future__ import annotations

from typing import ClassVar

from synthood.common.lazy import pd
from synthood.evaluation.ordered import Array, Counts, Mask, Weighted
from synthood.plugins import Plugin


class Metric(Plugin):
    """A number in [0,1], which tables show in percent."""

    kind: str

    title: ClassVar[str]
    """Heading of its tables."""
    lower_is_better: ClassVar[bool] = False
    note: ClassVar[str] = ""
    """A sentence below the tables that show it."""

    @property
    def key(self) -> str:
        """Its name in the column `metric` of the results: the kind, and the values of keys that are set."""
        given = self.model_dump(exclude_defaults=True, exclude={"kind"})
        return "_".join([self.kind, *(f"{value:g}" for name, value in given.items() if name != "kind")])


class OODMetric(Metric):
    """Of a detector's confidences on ID and OOD samples, larger for ID."""

    def of(self, ids: Weighted, oods: Weighted) -> Array:
        """One value per row of weights, [B]; raises ValueError where it needs `ids.right` and has none."""
        raise NotImplementedError


class SelectiveMetric(Metric):
    """Of a detector's confidences on ID samples and of which of them are classified correctly; lower is better."""

    column: ClassVar[str]
    """Heading of its column."""
    lower_is_better = True

    def of(self, samples: Weighted, right: Mask) -> Array:
        """One value per row of weights, [B]; `right` [n] is in the order in which the samples were given."""
        raise NotImplementedError


class IDMetric(Metric):
    """Of the classifier on ID samples; no detector has a part in it."""

    column: ClassVar[str]
    """Heading of its column."""

    def of(self, samples: pd.DataFrame, weights: Counts) -> Array:
        """One value per row of weights [B,n], [B]; samples [n] have columns label, prediction and probability."""
        raise NotImplementedError

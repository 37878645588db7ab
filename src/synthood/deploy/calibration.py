"""Calibration images, and the p-values and thresholds that they give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthood.deploy import conformal
from synthood.deploy.conformal import Array, Threshold
from synthood.errors import SynthoodError

Labels = NDArray[np.int64]


def check_apart(calibration: NDArray[np.uint8], others: Mapping[str, NDArray[np.uint8]]) -> None:
    """Raises SynthoodError where a calibration image, by its pixels' SHA-256 [n,32], serves another purpose too."""
    own = {row.tobytes() for row in np.ascontiguousarray(calibration)}
    for name, digests in others.items():
        both = own & {row.tobytes() for row in np.ascontiguousarray(digests)}
        if both:
            raise SynthoodError(
                f"calibration: {len(both)} of {len(own)} images are also among the {name} images, so that no "
                f"threshold would hold; take images that nothing else has used"
            )


def class_groups(predictions: Labels, classes: int, levels: Sequence[float], count: int) -> Labels:
    """The group of each class [C]: its own where it may expect calibration images enough for every level, else 0.

    Group 0 is joined by the smallest of the other classes until it expects enough as well. Of `count` calibration
    images each class expects its share among the `predictions` [m] of other ID images: groups that followed the
    calibration images themselves would make the promise approximate. Images are grouped by their predicted class,
    which is known of new images too (Mondrian conformal prediction, Vovk et al. 2005, section 4.5).
    """
    enough = max(map(conformal.sufficient_count, levels))
    counts = np.bincount(predictions, minlength=classes) * count / max(len(predictions), 1)
    alone = counts >= enough
    while not alone.all() and alone.any() and counts[~alone].sum() < enough:
        alone[np.flatnonzero(alone)[counts[alone].argmin()]] = False
    groups = np.zeros(classes, np.int64)
    groups[alone] = np.arange(1, alone.sum() + 1)
    return groups


@dataclass(frozen=True)
class Calibration:
    """Confidences [n] of calibration images, their predicted classes [n], and folds [n], all 0 without cross-fitting.

    With K folds, image i's confidence is by the detector that was fitted without fold i. `groups` [C] are numbers of
    classes' groups, `levels` the shares of ID images that may be rejected.
    """

    confidences: Array
    predictions: Labels
    folds: Labels
    groups: Labels
    levels: tuple[float, ...]

    @classmethod
    def of(
        cls,
        confidences: ArrayLike,
        predictions: ArrayLike,
        classes: int,
        levels: Sequence[float],
        folds: ArrayLike | None = None,
        grouping: ArrayLike | None = None,
    ) -> "Calibration":
        """With the levels that n images support; raises SynthoodError where that is none of them.

        `grouping` [m] are predicted classes of other ID images, by which classes are grouped; without, all are one.
        """
        known = conformal.checked_confidences(confidences)
        predicted = np.asarray(predictions, np.int64)
        fold = np.zeros(len(known), np.int64) if folds is None else np.asarray(folds, np.int64)
        if not len(known) == len(predicted) == len(fold):
            raise SynthoodError(f"calibration: {len(known)} confidences of {len(predicted)} images")
        given = tuple(sorted(set(levels)))
        if wrong := [level for level in given if not 0 < level < 1]:
            raise SynthoodError(f"reject_id {wrong[0]:g}: expected a share between 0 and 1, such as 0.05 for 5 %")
        possible = tuple(level for level in given if conformal.rank(level, len(known)))
        if not possible:
            Threshold.of(known, max(given))
        groups = np.zeros(classes, np.int64)
        if grouping is not None and not fold.any():
            groups = class_groups(np.asarray(grouping, np.int64), classes, possible, len(known))
        return cls(known, predicted, fold, groups, possible)

    def __len__(self) -> int:
        return len(self.confidences)

    @property
    def fold_count(self) -> int:
        return int(self.folds.max()) + 1

    def p_values(self, confidences: ArrayLike, predictions: ArrayLike) -> Array:
        """Of new images [m]: by confidences [K,m] of every fold's detector among those of their group."""
        by_fold, groups = np.atleast_2d(np.asarray(confidences, np.float64)), self.groups[np.asarray(predictions)]
        found = np.empty(by_fold.shape[1])
        for group in np.unique(groups):
            own, here = self.members(int(group)), groups == group
            # A group without any calibration image rejects nothing
            known = (self.confidences[own], self.folds[own], by_fold[:, here])
            found[here] = conformal.cross_p_values(*known) if own.any() else 1.0
        return found

    def members(self, group: int) -> NDArray[np.bool_]:
        """Which calibration images [n] are of a group."""
        found: NDArray[np.bool_] = self.groups[self.predictions] == group
        return found

    def thresholds(self, classes: Sequence[str]) -> list[tuple[str, Threshold]]:
        """Of every group and level; none with folds, where several detectors decide together."""
        if self.fold_count > 1:
            return []
        return [
            (self.group_name(group, classes), Threshold.of(self.confidences[self.members(group)], level))
            for group in np.unique(self.groups).tolist()
            for level in self.levels
            if conformal.rank(level, int(self.members(group).sum()))
        ]

    def group_name(self, group: int, classes: Sequence[str]) -> str:
        if group:
            return classes[int(np.flatnonzero(self.groups == group)[0])]
        return "other classes" if self.groups.any() else "all classes"

    def level(self, asked: float | None = None) -> float:
        """An exported level, 5 % or the nearest to it by default; raises SynthoodError for any other."""
        if asked is None:
            return min(self.levels, key=lambda level: abs(level - 0.05))
        if asked not in self.levels:
            known = ", ".join(f"{x:g}" for x in self.levels)
            raise SynthoodError(f"level {asked:g}: this detector was exported for {known}")
        return asked

    @cached_property
    def guarantee(self) -> str:
        """What is promised, in sentences."""
        where = "if they are drawn like the calibration images (exchangeable)"
        if self.fold_count == 1:
            of_groups = ", and as many of those assigned to each class of the table" * bool(self.groups.any())
            return (
                f"On average over calibrations, at most the level's share of new ID images is rejected{of_groups}, "
                f"{where}."
            )
        bounds = ", ".join(
            f"{100 * level:g} %: {100 * conformal.cross_bound(level, len(self), self.fold_count):.1f} %"
            for level in self.levels
        )
        return (
            f"Calibrated by {self.fold_count} folds of {len(self)} images; each is scored by a detector that was "
            f"fitted and chosen without its fold. The guarantee is weaker than a calibration part's: about twice the "
            f"level ({bounds}), {where} and served no other choice; usually the rate is near the level."
        )

    def warnings(self, asked: Sequence[float]) -> list[str]:
        """Levels that are not supported, and those whose true rate may be far from them."""
        refused = [level for level in sorted(set(asked)) if level not in self.levels]
        found = [
            f"reject_id {level:g}: left out; {len(self)} calibration images cannot support it, "
            f"{conformal.least_count(level)} are the fewest"
            for level in refused
        ]
        pooled = [] if self.fold_count > 1 else [Threshold.of(self.confidences, level) for level in self.levels]
        return found + [one.warning for one in pooled if one.warning]

    def header(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "confidences": self.confidences.tolist(),
            "predictions": self.predictions.tolist(),
            "folds": self.folds.tolist(),
            "groups": self.groups.tolist(),
            "levels": list(self.levels),
        }

    @classmethod
    def read(cls, header: Mapping[str, Any]) -> "Calibration":
        """From what `header` gave."""
        predictions, folds, groups = (np.array(header[key], np.int64) for key in ("predictions", "folds", "groups"))
        return cls(np.array(header["confidences"], np.float64), predictions, folds, groups, tuple(header["levels"]))

"""Hyperparameters by validation: every candidate of a grid, fitted on ID data, scored on ID and OOD validation data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from synthood.common.timing import Seconds, timed
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector, Fit, Score
from synthood.evaluation.features import Features, Reference, check_head
from synthood.evaluation.hyperparameters import OutOfRangeError
from synthood.evaluation.scoring import together
from synthood.evaluation.selection import COLUMNS, area, selected, text_of


@dataclass(frozen=True)
class Validation:
    """All that a choice may depend on; `ood` is needed for grids alone. Test sets have no place in it."""

    reference: Reference
    ood: Features | None = None
    where: str = "features"


def fitted(
    detectors: Mapping[str, Detector], validation: Validation, seconds: Seconds | None = None
) -> tuple[dict[str, Score], pd.DataFrame]:
    """Each detector's score with its best hyperparameters, and a row per candidate of the grids.

    The best has the highest AUROC of ID against OOD validation data, the first of equals. A grid's value that the data
    do not allow is left out with a note; a single value raises. The time of each detector is added to `seconds`.
    """
    candidates = {name: detector.candidates() for name, detector in detectors.items()}
    # Files of the user are run before anything is fitted
    ready = {name: detector.ready(name) for name, detector in detectors.items()}
    if any("head" in detector.inputs for detector in detectors.values()):
        check_head(validation.reference, validation.where)
    scores: dict[str, Score] = {}
    rows: list[dict[str, object]] = []
    for name, each in candidates.items():
        with timed(seconds, name):
            if len(each) == 1:
                scores[name] = ready[name](each[0], validation.reference)
            else:
                scores[name], found = search(name, each, ready[name], validation)
                rows += found
    return scores, pd.DataFrame(rows, columns=list(COLUMNS))


def search(
    name: str, candidates: Sequence[Detector], fit: Fit, validation: Validation
) -> tuple[Score, list[dict[str, object]]]:
    """The best candidate's score, and a row of `COLUMNS` for each."""
    if validation.ood is None:
        raise SynthoodError(f"detectors.{name}: a grid needs the dataset's ood_validation; name one or write one value")
    possible: dict[str, Score] = {}
    notes: dict[str, str] = {}
    texts = [text_of(one.hyperparameters) for one in candidates]
    for text, one in zip(texts, candidates, strict=True):
        try:
            possible[text] = fit(one, validation.reference)
        except OutOfRangeError as error:
            notes[text] = f"left out: {error}"
    inside, outside = (together(possible, x) if possible else {} for x in (validation.reference.val, validation.ood))
    areas = {text: area(inside[text], outside[text], name) for text in possible}
    best, rows = selected(name, texts, areas, notes)
    return possible[best], rows

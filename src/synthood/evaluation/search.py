"""Hyperparameters by validation: every candidate of a grid, fitted on ID data, scored on ID and OOD validation data."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from synthood.errors import SynthoodError
from synthood.evaluation.detectors import Method, OutOfRangeError, Score, method_of, together
from synthood.evaluation.features import Features, Reference, check_head
from synthood.evaluation.hyperparameters import Hyperparameters, Values
from synthood.evaluation.selection import COLUMNS, area, selected, text_of


@dataclass(frozen=True)
class Validation:
    """All that a choice may depend on; `ood` is needed for grids alone. Test sets have no place in it."""

    reference: Reference
    ood: Features | None = None
    where: str = "features"


def fitted(detectors: Mapping[str, Hyperparameters], validation: Validation) -> tuple[dict[str, Score], pd.DataFrame]:
    """Each detector's score with its best hyperparameters, and a row per candidate of the grids.

    The best has the highest AUROC of ID against OOD validation data, the first of equals. A grid's value that the data
    do not allow is left out with a note; a value that stands alone raises.
    """
    methods = {name: method_of(detector, name) for name, detector in detectors.items()}
    if any("head" in method.inputs for method in methods.values()):
        check_head(validation.reference, validation.where)
    scores: dict[str, Score] = {}
    rows: list[dict[str, object]] = []
    for name, detector in detectors.items():
        candidates = detector.candidates()
        if len(candidates) == 1:
            scores[name] = methods[name].fit(validation.reference, **candidates[0])
        else:
            scores[name], found = search(name, methods[name], candidates, validation)
            rows += found
    return scores, pd.DataFrame(rows, columns=list(COLUMNS))


def search(
    name: str, method: Method, candidates: list[Values], validation: Validation
) -> tuple[Score, list[dict[str, object]]]:
    """The best candidate's score, and a row of `COLUMNS` for each."""
    if validation.ood is None:
        raise SynthoodError(f"detectors.{name}: a grid needs the dataset's ood_validation; name one or write one value")
    possible: dict[str, Score] = {}
    notes: dict[str, str] = {}
    for values in candidates:
        try:
            possible[text_of(values)] = method.fit(validation.reference, **values)
        except OutOfRangeError as error:
            notes[text_of(values)] = f"left out: {error}"
    inside, outside = (together(possible, x) if possible else {} for x in (validation.reference.val, validation.ood))
    areas = {text: area(inside[text], outside[text], name) for text in possible}
    best, rows = selected(name, candidates, areas, notes)
    return possible[best], rows

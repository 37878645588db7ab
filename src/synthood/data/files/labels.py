"""Images with some labels of a file, or with all but some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthood.common.lazy import np
from synthood.data.claims import Choice
from synthood.errors import SynthoodError


def choice(labels: Sequence[int] | None, except_labels: Sequence[int] | None) -> Choice:
    """What is taken, for comparison with what other parts take."""
    but = frozenset(except_labels or [])
    return Choice(but) if labels is None else Choice(frozenset(labels) - but, False)


def chosen(
    every: np.ndarray, labels: Sequence[int] | None, except_labels: Sequence[int] | None, name: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images that stay, and their labels numbered anew; SynthoodError where none stays."""
    wanted = np.unique(every) if labels is None else np.unique(labels)
    absent = np.setdiff1d(wanted, every)
    if absent.size:
        raise SynthoodError(f"{name}: no image has label {absent[0]}, which the configuration asks for")
    wanted = np.setdiff1d(wanted, except_labels or [])
    indices = np.flatnonzero(np.isin(every, wanted))
    if not indices.size:
        raise SynthoodError(f"{name}: no label is left of those that the configuration asks for")
    return indices, np.searchsorted(wanted, every[indices]).astype(np.int64)

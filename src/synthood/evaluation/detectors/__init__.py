"""Detectors as pure functions: fitted on a reference, they score features; confidence is larger for ID."""

from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Method, OutOfRangeError, Score
from synthood.evaluation.detectors.custom import check_references, custom
from synthood.evaluation.detectors.neighbours import together
from synthood.evaluation.detectors.registry import METHODS
from synthood.evaluation.features import Reference
from synthood.evaluation.hyperparameters import Hyperparameters
from synthood.evaluation.kinds import Custom

__all__ = ["METHODS", "Method", "OutOfRangeError", "Score", "check_references", "fit", "method_of", "together"]


def method_of(settings: Hyperparameters, name: str = "") -> Method:
    """The registry's method, or the one in the user's file, whose errors say the detector's name."""
    return custom(settings, name) if isinstance(settings, Custom) else METHODS[type(settings)]


def fit(settings: Hyperparameters, reference: Reference) -> Score:
    """The score function of one detector without grids, fitted on the reference alone."""
    candidates = settings.candidates()
    if len(candidates) > 1:
        raise SynthoodError(f"{settings.model_dump()}: a grid needs validation data; search it first")
    return method_of(settings).fit(reference, **candidates[0])

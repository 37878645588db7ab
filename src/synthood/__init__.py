"""Synthetic data for out-of-distribution detection, as one reproducible pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthood.deploy.predictor import Predictor

__version__ = "0.1.0"


def load(folder: str | Path, device: str = "cpu") -> "Predictor":
    """An exported detector, whose `predict(images)` gives a table; raises SynthoodError where a byte has changed."""
    from synthood.deploy.predictor import load

    return load(folder, device)

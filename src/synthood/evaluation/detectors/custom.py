"""A detector that a user wrote: a function in a Python file of theirs."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Method, Score
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.kinds import Custom


def custom(settings: Custom) -> Method:
    """The method that runs the user's file; its own SynthoodErrors pass, others are told with file and function."""
    function, where = loaded(settings), f"{settings.file}: {settings.function}"

    def fit(reference: Reference, **values: Any) -> Score:
        score = told(where, function, reference, **values)
        if not callable(score):
            raise SynthoodError(f"{where}: must return a function of features, got {type(score).__name__}")
        return lambda x: checked_score(where, told(where, score, x), x)

    return Method(fit, ("logits", "features"), ("train", "val"))


def loaded(settings: Custom) -> Callable[..., Any]:
    """The function that the settings name."""
    path = Path(settings.file)
    if not path.is_file():
        raise SynthoodError(f"{path}: not found; paths of detectors start where snakemake runs")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    told(str(path), spec.loader.exec_module, module)
    function = getattr(module, settings.function, None)
    if not callable(function):
        raise SynthoodError(f"{path}: has no function {settings.function!r}; name one of its functions")
    return function


def told(where: str, function: Callable[..., Any], *arguments: Any, **values: Any) -> Any:
    """The function's result; whatever goes wrong in it is told with `where`."""
    try:
        return function(*arguments, **values)
    except SynthoodError:
        raise
    except Exception as error:
        raise SynthoodError(f"{where}: {type(error).__name__}: {error}") from error


def checked_score(where: str, confidence: Any, x: Features) -> Tensor:
    """Float32 [N]; raises where the user's function gave something else."""
    if not isinstance(confidence, Tensor) or confidence.shape != (len(x),):
        shape = list(confidence.shape) if isinstance(confidence, Tensor) else type(confidence).__name__
        raise SynthoodError(f"{where}: must give a confidence per sample, a tensor [{len(x)}], got {shape}")
    return confidence.detach().to(torch.float32)

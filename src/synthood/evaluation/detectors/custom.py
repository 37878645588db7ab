"""A detector that a user wrote: a function in a Python file of theirs."""

import importlib.util
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthood.errors import SynthoodError, printable
from synthood.evaluation.detectors.base import Method, Score
from synthood.evaluation.features import Features, Reference, parts
from synthood.evaluation.kinds import Custom
from synthood.evaluation.unchanged import Unchanged


@dataclass(frozen=True)
class CustomScore:
    """What the user's function gave, and the reference that all detectors share."""

    where: str
    score: Score
    reference: Reference

    def __call__(self, x: Features) -> Tensor:
        return self.checked(x, Unchanged(x.tensors("x")))

    def checked(self, x: Features, unchanged: Unchanged) -> Tensor:
        """Confidence [N]; raises where the function gives something else, or changes the samples."""
        found = [checked_score(self.where, told(self.where, self.score, rows), rows) for rows in parts(x)]
        unchanged.check(self.where)
        return torch.cat(found)


def check_references(scores: Iterable[Score]) -> None:
    """Raises where what the scores were fitted on has changed since: custom ones may have held on to it."""
    custom = [score for score in scores if isinstance(score, CustomScore)]
    where = " or ".join(dict.fromkeys(score.where for score in custom))
    for reference in {id(score.reference): score.reference for score in custom}.values():
        reference.unchanged.check(where)


def custom(settings: Custom, name: str = "") -> Method:
    """The method that runs the user's file; its own SynthoodErrors pass, others are told with file and function."""
    prefix = f"detectors.{name}: " if name else ""
    where = f"{prefix}{settings.file}: {settings.function}"
    function = loaded(settings, prefix)

    def fit(reference: Reference, **values: Any) -> Score:
        unchanged = reference.unchanged
        score = told(where, function, reference.aliases(), **values)
        unchanged.check(where)
        if not callable(score):
            raise SynthoodError(f"{where}: must return a function of features, got {type(score).__name__}")
        return CustomScore(where, score, reference)

    return Method(fit, ("logits", "features"), ("train", "val"))


def loaded(settings: Custom, prefix: str = "") -> Callable[..., Any]:
    """The function that the settings name."""
    path = Path(settings.file)
    if not path.is_file():
        raise SynthoodError(f"{prefix}{path}: not found; paths of detectors start where snakemake runs")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    told(f"{prefix}{path}", spec.loader.exec_module, module)
    function = getattr(module, settings.function, None)
    if not callable(function):
        raise SynthoodError(f"{prefix}{path}: has no function {settings.function!r}; name one of its functions")
    return function


def told(where: str, function: Callable[..., Any], *arguments: Any, **values: Any) -> Any:
    """The function's result; whatever goes wrong in it is told with `where` and the file's line."""
    before = shared_settings()
    try:
        found = function(*arguments, **values)
    except SynthoodError:
        raise
    except (Exception, SystemExit) as error:  # a file that exits would end the job as if all were well
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if f"/{Path(frame.filename).name}:" in f"/{where}:"]
        line = f" (line {lines[-1]})" if lines else ""
        raise SynthoodError(f"{where}: {type(error).__name__}: {printable(error, 300)}{line}") from error
    if changed := [name for name, value in shared_settings().items() if value != before[name]]:
        raise SynthoodError(f"{where}: changes torch's {' and '.join(changed)}, which all detectors share; put it back")
    return found


def shared_settings() -> dict[str, object]:
    """What decides the last bits of every detector's scores."""
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "number of threads": torch.get_num_threads(),
        "precision of float32 products": torch.get_float32_matmul_precision(),
    }


def checked_score(where: str, confidence: Any, x: Features) -> Tensor:
    """Float32 [N] of its own memory; raises where the user's function gave something else."""
    values = torch.from_numpy(confidence) if is_numbers(confidence) else confidence
    if not isinstance(values, Tensor) or values.shape != (len(x),):
        shape = list(confidence.shape) if hasattr(confidence, "shape") else type(confidence).__name__
        raise SynthoodError(f"{where}: must give a confidence per sample, a tensor [{len(x)}], got {shape}")
    if values.is_complex():
        raise SynthoodError(f"{where}: must give real numbers, got {values.dtype}")
    # A copy, since the function may write its next batch to the same memory
    found = values.detach().to(x.logits.device, torch.float32, copy=True)
    if wrong := int((~found.isfinite()).sum()):
        raise SynthoodError(f"{where}: gives {wrong} of {len(x)} samples a confidence that is not finite in float32")
    return found


def is_numbers(values: Any) -> bool:
    """Whether values are an array that torch can read."""
    return isinstance(values, np.ndarray) and values.dtype.kind in "fiub" and values.dtype.isnative

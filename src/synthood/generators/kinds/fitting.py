"""What all generators share in being fitted, and the settings of a job that fits one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthood.common.images import ImageSet
from synthood.common.lazy import torch
from synthood.plugins import Plugin

if TYPE_CHECKING:
    from synthood.common.iterate import ResumeFile


@dataclass(frozen=True)
class FitTask:
    """What a generator is fitted on, how, and the folder that it writes, which is not there yet."""

    train: ImageSet
    folder: Path
    dtype: torch.dtype
    device: torch.device
    resume: ResumeFile
    also: Sequence[ImageSet] = ()
    """Extra sets that it names by `learned_also`."""
    classifier: Path | None = None
    """The model that it names by `watched_by`."""
    threads: int = 1

    @property
    def classes(self) -> list[str]:
        return self.train.classes

    @property
    def size(self) -> list[int]:
        """Height and width of the ID images, in pixels."""
        return list(self.train.images.shape[1:3])


class Fitting(Plugin):
    """What `fit_generator` needs of a generator: the settings that its folder depends on, and how it is written."""

    kind: Any  # of each generator its one name, which mypy lets no `str` be narrowed to by two bases

    @property
    def learns(self) -> bool:
        """Whether it needs the pixels of the training images; where not, it is given the first image alone."""
        return True

    def fit_generator(self, task: FitTask) -> dict[str, Any]:
        """Writes the generator and its `Description` into `task.folder`; returns facts for the provenance.

        Raises SynthoodError, before any fit, where the training images do not suit it.
        """
        raise NotImplementedError

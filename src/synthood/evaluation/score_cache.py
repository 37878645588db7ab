"""A cache of scores next to the outputs, so that an edit of one detector scores that one alone."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthood.common.artefact import place_of, replacing
from synthood.common.identity import FORMAT, seal
from synthood.common.settings import canonical_json
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.settings import ScoreSettings


@dataclass(frozen=True)
class CachedScores:
    """Confidences float32 [N] of one detector by part, and its rows of the search."""

    confidences: Mapping[str, NDArray[np.float32]]
    search: list[dict[str, Any]]


class ScoreCache:
    """A file per detector, named by all that its scores are a function of; those of the last run alone stay.

    Without a digest of the code, as outside the workflow, nothing is read or written.
    """

    def __init__(self, folder: Path, features: str, settings: ScoreSettings) -> None:
        self.folder, self.settings = folder, settings
        self.code = os.environ.get("SYNTHOOD_CODE", "")
        self.common = [self.code, features, torch.__version__, torch.get_num_threads(), settings.parts]

    def path(self, name: str, detector: Detector) -> Path:
        code = self.settings.code.get(f"detectors.{name}", "")
        digest = hashlib.sha256(canonical_json([*self.common, detector.canonical(), code]).encode()).hexdigest()
        return self.folder / f"{name}-{digest[:16]}.safetensors"

    def read(self) -> dict[str, CachedScores]:
        """Cached scores of the settings' detectors; a file that cannot be read counts as none."""
        cached = {}
        for name, detector in self.settings.detectors.items() if self.code else ():
            path = self.path(name, detector)
            try:
                arrays, header = read_tensors(path, *self.settings.parts)
                cached[name] = CachedScores(arrays, header["search"])
            except (SynthoodError, KeyError):
                path.unlink(missing_ok=True)
        return cached

    def write(self, scored: Mapping[str, CachedScores]) -> None:
        """Writes those of the settings' detectors and removes all others."""
        if not self.code:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        paths = {self.path(name, detector): scored[name] for name, detector in self.settings.detectors.items()}
        for path in set(self.folder.iterdir()) - set(paths):
            path.unlink()
        for path, cached in paths.items():
            if not path.exists():
                with replacing(path) as temporary:
                    write_tensors(temporary, dict(cached.confidences), {"search": cached.search})
                    seal(path, temporary, {"format": FORMAT, "stage": "score", "place": place_of(path)})

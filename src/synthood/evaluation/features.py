"""Features of one model on all parts of a dataset: what detectors score, on disk and in memory."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from synthood.common.artefact import verify
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError

HEAD = "head.safetensors"


@dataclass(frozen=True)
class Features:
    """Logits float32 [N,C], penultimate features float32 [N,D] and labels int64 [N] of one part."""

    logits: Tensor
    features: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.logits)


@dataclass(frozen=True)
class Reference:
    """What a detector may be fitted on: ID training and validation features, and the head's W [C,D] and b [C]."""

    train: Features
    val: Features
    weight: Tensor
    bias: Tensor


def write_part(folder: Path, part: str, features: Features) -> None:
    """Writes the features of a part; row i is sample `part/i`."""
    arrays = {
        "logits": features.logits.numpy(),
        "features": features.features.numpy(),
        "labels": features.labels.numpy(),
    }
    write_tensors(folder / f"{part}.safetensors", arrays, {"part": part})


def write_head(folder: Path, weight: Tensor, bias: Tensor) -> None:
    write_tensors(folder / HEAD, {"weight": weight.numpy(), "bias": bias.numpy()}, {"part": "head"})


class FeatureFolder:
    """The folder that `extract` writes; verified once, then read part by part."""

    def __init__(self, folder: Path) -> None:
        verify(folder)
        self.folder = folder

    def part(self, part: str) -> Features:
        """Raises where logits, features and labels do not belong together or are not finite."""
        path = self.folder / f"{part}.safetensors"
        arrays, _ = read_tensors(path, "logits", "features", "labels")
        features = Features(*(torch.from_numpy(arrays[name]) for name in ("logits", "features", "labels")))
        if not len(features.logits) == len(features.features) == len(features.labels) > 0:
            raise SynthoodError(f"{path}: logits, features and labels differ in length or are empty")
        if not (features.logits.isfinite().all() and features.features.isfinite().all()):
            raise SynthoodError(f"{path}: logits or features are not finite; the model that made them is broken")
        return features

    def reference(self) -> Reference:
        """Training and validation features with the head."""
        head, _ = read_tensors(self.folder / HEAD, "weight", "bias")
        weight, bias = (torch.from_numpy(head[name]) for name in ("weight", "bias"))
        return Reference(self.part("train"), self.part("val"), weight, bias)

"""Features of one model on disk: a folder with a file for each part, the head, and the names of images' files."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from synthood.common.artefact import verify
from synthood.common.names import BYTES, OFFSETS, Names, take_names
from synthood.common.tensors import map_tensors, read_tensors, write_rows, write_tensors
from synthood.errors import SynthoodError
from synthood.evaluation import features as features_module
from synthood.evaluation.features import Features, Reference, checked, checked_reference

HEAD = "head.safetensors"
PATHS = "paths"
"""Subfolder of the names of the images' files, which no part's file can be taken for."""
OUTPUT = "output."
"""Before the names of trained heads' outputs in a part's file."""


def write_part(folder: Path, part: str, features: Features) -> None:
    """Writes the features of a part; row i is sample `part/i`."""
    write_batches(folder, part, len(features), [features])


def write_batches(folder: Path, part: str, count: int, batches: Iterable[Features]) -> None:
    """The same of `count` samples that come batch by batch, and are never held together."""
    write_rows(folder / f"{part}.safetensors", count, map(arrays_of, batches), {"part": part})


def arrays_of(features: Features) -> dict[str, np.ndarray]:
    """What a part's file holds, by name."""
    return {
        "logits": features.logits.numpy(),
        "features": features.features.numpy(),
        "labels": features.labels.numpy(),
        **{f"{OUTPUT}{name}": output.numpy() for name, output in features.outputs.items()},
    }


def write_names(folder: Path, part: str, names: Names | None) -> None:
    """Writes the files of a part's images, where there are files."""
    if names is not None:
        (folder / PATHS).mkdir(exist_ok=True)
        write_tensors(folder / PATHS / f"{part}.safetensors", names.arrays(), {"part": part})


def write_head(folder: Path, weight: Tensor, bias: Tensor) -> None:
    write_tensors(folder / HEAD, {"weight": weight.numpy(), "bias": bias.numpy()}, {"part": "head"})


class FeatureFolder:
    """The folder that `extract` writes; verified once, then read part by part.

    Large arrays are mapped, not copied, so that a bank may be larger than memory; half precision is copied to single.
    """

    def __init__(self, folder: Path) -> None:
        self.digest = verify(folder)
        self.folder = folder

    def part(self, part: str) -> Features:
        """Raises where logits, features and labels do not belong together or are not finite."""
        path = self.folder / f"{part}.safetensors"
        # A product's rounding follows the place of its operands in memory, which a file aligns by chance
        tensors = {
            name: x.clone() if x.nbytes <= features_module.IN_MEMORY_BYTES else x
            for name, x in map_tensors(path).items()
        }
        if missing := {"logits", "features", "labels"} - set(tensors):
            raise SynthoodError(f"{path}: not a file that this stage reads ({', '.join(sorted(missing))} missing)")
        outputs = {name.removeprefix(OUTPUT): array for name, array in tensors.items() if name.startswith(OUTPUT)}
        return checked(Features(tensors["logits"], tensors["features"], tensors["labels"], outputs), path)

    def names(self, part: str) -> Names | None:
        """The files of a part's images; None where they come from no files of their own."""
        path = self.folder / PATHS / f"{part}.safetensors"
        if not path.exists():
            return None
        arrays, _ = read_tensors(path, OFFSETS, BYTES)
        return take_names(arrays, len(arrays[OFFSETS]) - 1, path)

    def reference(self) -> Reference:
        """Training and validation features with the head."""
        head, _ = read_tensors(self.folder / HEAD, "weight", "bias")
        weight, bias = (torch.from_numpy(head[name]) for name in ("weight", "bias"))
        return checked_reference(Reference(self.part("train"), self.part("val"), weight, bias), self.folder)

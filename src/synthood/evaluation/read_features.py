"""Features and logits that were made elsewhere: one .npz, .safetensors or .parquet file per set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.evaluation.features import TOLERANCE, Features, Reference, checked, checked_reference

FORMATS = (".npz", ".safetensors", ".parquet")


def read_set(folder: Path, name: str) -> Features:
    """A set's `logits` [N,C], `features` [N,D] and, of ID images, `labels` [N], from the one file of its name.

    A Parquet file has a row per sample, with lists in the columns `logits` and `features`. Raises SynthoodError where
    there is no such file or two, or the arrays do not belong together.
    """
    path = file_of(folder, name)
    arrays = read_arrays(path)
    if missing := {"logits", "features"} - set(arrays):
        raise SynthoodError(f"{path}: {' and '.join(sorted(missing))} missing; it has {', '.join(arrays) or 'nothing'}")
    for key in ("logits", "features", "labels"):
        if key in arrays and arrays[key].dtype.kind not in "fiu":
            raise SynthoodError(f"{path}: `{key}` holds {arrays[key].dtype}, expected numbers")
    logits, features = (torch.from_numpy(arrays[key].astype(np.float32)) for key in ("logits", "features"))
    labels = arrays.get("labels", np.full(len(logits), -1))
    return checked(Features(logits, features, torch.from_numpy(labels.astype(np.int64))), path)


def read_reference(folder: Path) -> Reference:
    """`train` and `val` with the last layer's `weight` [C,D] and `bias` [C] from a file `head`, else from the logits.

    Raises where there is no file `head` and no linear layer gives the training logits.
    """
    train, val = read_set(folder, "train"), read_set(folder, "val")
    if any((folder / f"head{ending}").exists() for ending in FORMATS[:2]):
        path = file_of(folder, "head")
        head = read_arrays(path)
        if missing := {"weight", "bias"} - set(head):
            raise SynthoodError(f"{path}: {' and '.join(sorted(missing))} missing")
        weight, bias = (torch.from_numpy(head[key].astype(np.float32)) for key in ("weight", "bias"))
    else:
        weight, bias = linear_layer(train, folder)
    return checked_reference(Reference(train, val, weight, bias), folder)


def linear_layer(x: Features, where: Path) -> tuple[Tensor, Tensor]:
    """The weight and bias that give the logits, by least squares."""
    inputs = torch.cat([x.features.double(), torch.ones(len(x), 1, dtype=torch.float64)], 1)
    found = torch.linalg.lstsq(inputs, x.logits.double(), driver="gelsd").solution
    if (inputs @ found - x.logits).abs().max() > TOLERANCE * x.logits.abs().max():
        raise SynthoodError(
            f"{where}: no linear layer gives the logits of the features; write its `weight` and `bias` to head.npz"
        )
    return found[:-1].T.float().contiguous(), found[-1].float()


def file_of(folder: Path, name: str) -> Path:
    """The one file of a set."""
    found = [path for ending in FORMATS if (path := folder / f"{name}{ending}").is_file()]
    if len(found) != 1:
        what = f"{len(found)} files for {name!r}" if found else f"no file for {name!r}"
        raise SynthoodError(f"{folder}: {what}; expected one of {', '.join(name + ending for ending in FORMATS)}")
    return found[0]


def read_arrays(path: Path) -> Mapping[str, np.ndarray[Any, Any]]:
    """The arrays of a file, by name; nothing in it is run."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        if path.suffix == ".safetensors":
            tensors = load_file(path)
            return {name: (x.float() if x.is_floating_point() else x).numpy() for name, x in tensors.items()}
        frame = pd.read_parquet(path)
        return {str(name): np.array(frame[name].tolist()) for name in frame}
    except (OSError, ValueError, BadZipFile, SafetensorError) as error:
        raise SynthoodError(f"{path}: not readable as {path.suffix} ({' '.join(str(error).split())[:200]})") from error

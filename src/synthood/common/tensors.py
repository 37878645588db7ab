"""Tensors in safetensors files, as numpy arrays, with one JSON header."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from synthood.common.artefact import verify
from synthood.errors import SynthoodError

if TYPE_CHECKING:
    from torch import Tensor

Arrays = dict[str, np.ndarray]


def write_tensors(path: Path, arrays: Arrays, header: dict[str, Any]) -> None:
    """Writes arrays and a header; a single metadata key keeps the bytes the same on every run."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, path, metadata={"synthood": json.dumps(header, sort_keys=True)})


def read_tensors(path: Path, *names: str) -> tuple[Arrays, dict[str, Any]]:
    """Arrays (all, or those named) and header of a verified file; an error names a file that is not one of ours."""
    return _opened(path, names, "numpy")


def map_tensors(path: Path, *names: str) -> "dict[str, Tensor]":
    """The same as torch's tensors that read the file's pages where they are touched, and share them."""
    return _opened(path, names, "pt")[0]


def _opened(path: Path, names: tuple[str, ...], framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    verify(path)
    try:
        with safe_open(path, framework=framework) as file:
            metadata = file.metadata() or {}
            keys = set(file.keys())
            if "synthood" not in metadata or not set(names) <= keys:
                raise SynthoodError(f"{path}: not a file that this stage reads (it holds {', '.join(sorted(keys))})")
            return {name: file.get_tensor(name) for name in names or sorted(keys)}, json.loads(metadata["synthood"])
    except (SafetensorError, json.JSONDecodeError, TypeError, OSError) as error:
        raise SynthoodError(f"{path}: not a readable safetensors file ({error}); delete it and run again") from error


def mapped(path: Path, name: str) -> np.ndarray:
    """A uint8 array of a verified file, read from disk page by page as it is used; writing to it stays in memory."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        entry = json.loads(stream.read(size)).get(name, {"dtype": "nothing"})
    if entry["dtype"] != "U8":
        raise SynthoodError(f"{path}: {name} holds {entry['dtype']}, not bytes; delete it and run again")
    return np.memmap(path, np.uint8, "c", 8 + size + entry["data_offsets"][0], tuple(entry["shape"]))

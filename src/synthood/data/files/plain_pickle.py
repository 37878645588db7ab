"""Pickles of plain data, read without running code."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from synthood.errors import SynthoodError


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers, numbers, text and numpy arrays; every other name in a pickle is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray"):
            allowed = {"ndarray": np.ndarray, "dtype": np.dtype, "_reconstruct": np.empty(0).__reduce__()[0]}
            if name in allowed:
                return allowed[name]
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which plain data does not need")


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into old pickles; no other codec is run."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding}")
    return text.encode("latin1")


def read_plain_pickle(path: Path) -> dict[str, Any]:
    """A pickled mapping of plain data; raises where the file is missing, damaged, or asks for any code."""
    try:
        with path.open("rb") as stream:
            content = _PlainUnpickler(stream, encoding="latin1").load()
    except FileNotFoundError as error:
        raise SynthoodError(f"{path}: not found; unpack the archive again") from error
    except Exception as error:  # unpickling damaged bytes raises nearly anything
        raise SynthoodError(f"{path}: not a readable pickle of plain data ({error})") from error
    if not isinstance(content, dict):
        raise SynthoodError(f"{path}: expected a mapping, found {type(content).__name__}")
    return content

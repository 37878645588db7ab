"""Files of weights from elsewhere: which kind one is, and its content, of which nothing is run."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from synthood.common.identity import sha256
from synthood.errors import SynthoodError, printable

STARTS: dict[bytes, str] = {
    b"\x89HDF": "is an HDF5 file, as Keras writes; convert it to a torch state dict",
    b"version https://git-lfs": "is a pointer of Git LFS, not the file; run `git lfs pull`",
    b"\x1f\x8b": "is compressed; unpack it first",
    b"BZh": "is compressed; unpack it first",
    b"\xfd7zXZ": "is compressed; unpack it first",
    b"\x93NUMPY": "is a NumPy array; save a torch state dict",
    b"<": "is a web page, not a checkpoint; download the file itself",
    b"GGUF": "is a GGUF file; convert it to a torch state dict",
}
SAVED = "save `network.state_dict()`"
DATA = (
    "argparse.Namespace",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
)
"""Classes of settings and metrics that training scripts save with their weights."""


class Blank:
    """What is read instead of an object of DATA: nothing of it is built, run or held."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def blank(name: str) -> type[Blank]:
    """A Blank that torch finds under the name of another class."""
    module, _, short = name.rpartition(".")
    return type(short, (Blank,), {"__module__": module, "__qualname__": short, "__new__": _new})


def _new(cls: type[Blank], *_: Any) -> Any:
    return object.__new__(cls)


BLANKS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [blank(name) for name in DATA]


def read_content(path: Path, digest: str | None = None) -> Any:
    """What a file of safetensors or torch holds, its tensors on the CPU; raises SynthoodError where it is another."""
    where = printable(path)
    try:
        if path.is_dir():
            raise SynthoodError(f"{where}: is a folder, not a checkpoint; name the file in it")
        if digest is not None and (found := sha256(path)) != digest:
            raise SynthoodError(
                f"{where}: has SHA-256 {found}, not `sha256` {digest}; get the file again, or correct the key"
            )
        if is_safetensors(path, where):
            return dict(load_file(path))
        with warnings.catch_warnings(), torch.serialization.safe_globals(BLANKS):
            warnings.simplefilter("ignore")  # of pickle's protocol, old storages and sparse tensors, none for the user
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise SynthoodError(f"{where}: not found; paths start where snakemake runs") from error
    except pickle.UnpicklingError as error:
        raise SynthoodError(f"{where}: {unpickled(str(error))}") from error
    except (EOFError, SafetensorError) as error:
        raise SynthoodError(f"{where}: is cut short or damaged; get the file again") from error
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # Damaged pickles end in any of these; torch's text may advise to trust the file, so it is not shown.
        raise SynthoodError(f"{where}: not a readable checkpoint; get the file again, or {SAVED}") from error


def unpickled(error: str) -> str:
    """What torch refused to unpickle, without its advice."""
    if found := re.search(r"GLOBAL ([\w.]+)", error):
        return (
            f"holds more than weights ({found[1]}, perhaps a network pickled as a Python object), which is not read; "
            f"save its state_dict alone"
        )
    return f"holds more than weights, or is no checkpoint; {SAVED}"


def is_safetensors(path: Path, where: str) -> bool:
    """Whether a file is of safetensors, not of torch; raises SynthoodError where it is neither."""
    with path.open("rb") as file:
        start = file.read(64)
    size = path.stat().st_size
    if not start:
        raise SynthoodError(f"{where}: is empty; get the file again")
    for known, what in STARTS.items():
        if start.lstrip().startswith(known):
            raise SynthoodError(f"{where}: {what}")
    if path.suffix == ".onnx" or (start[0] == 0x08 and (b"pytorch" in start or b"onnx" in start.lower())):
        raise SynthoodError(f"{where}: is an ONNX graph, whose weights bear no names of a network; {SAVED}")
    if start.startswith(b"PK\x03\x04"):
        check_archive(path, where)
        return False
    if start[8:9] == b"{":
        if 8 + int.from_bytes(start[:8], "little") > size:
            raise SynthoodError(f"{where}: is cut short; get the file again")
        return True
    if path.suffix == ".safetensors":
        raise SynthoodError(f"{where}: not a readable checkpoint; it is named .safetensors and is none")
    return False


def check_archive(path: Path, where: str) -> None:
    """Raises SynthoodError where a zip archive is not one of torch.save."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise SynthoodError(f"{where}: is cut short or damaged; get the file again") from error
    inside = [name.partition("/")[2] for name in names]
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        raise SynthoodError(f"{where}: is a TorchScript archive, whose code is not run; {SAVED} in Python")
    if "data.pkl" not in inside:
        held = ", ".join(printable(name) for name in names[:3]) or "nothing"
        raise SynthoodError(f"{where}: is a zip archive of other files ({held}), not a checkpoint; unpack it first")

"""State dicts of other code, read without running anything of what they hold."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from synthood.common.artefact import sha256
from synthood.errors import SynthoodError

State = dict[str, Tensor]
CONTAINERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Where a checkpoint with more in it than weights keeps them."""


def read_state(path: Path, digest: str | None = None) -> State:
    """Tensors by key from safetensors or torch's format, of which no more than tensors is unpickled."""
    try:
        if digest is not None and (found := sha256(path)) != digest:
            raise SynthoodError(
                f"{path}: has SHA-256 {found}, not `sha256` {digest}; get the file again, or mend the key"
            )
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise SynthoodError(f"{path}: not found; paths start where snakemake runs") from error
    except pickle.UnpicklingError as error:
        raise SynthoodError(
            f"{path}: holds more than weights, which is not read ({first_line(error)}); save its state_dict alone"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, SafetensorError) as error:
        raise SynthoodError(f"{path}: not a readable checkpoint ({first_line(error)})") from error
    for name in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not content:
        raise SynthoodError(f"{path}: no state dict in it; save `network.state_dict()`")
    foreign = [key for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if foreign:
        raise SynthoodError(f"{path}: {foreign[0]!r} is no tensor; save `network.state_dict()`")
    return dict(content)


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(". ")

"""State dicts of other code as a classifier of ours: read without running anything, renamed, checked."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.training.model import Classifier
from synthood.training.networks import BLOCKS, build
from synthood.training.settings import CheckpointRecipe

State = dict[str, Tensor]
CONTAINERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Where a checkpoint with more in it than weights keeps them."""
PREFIXES = ("module", "model", "network", "net", "backbone")
"""What wrappers such as DataParallel put before every key."""
PARTS = {"conv1": "convolution1", "bn1": "norm1", "conv2": "convolution2", "bn2": "norm2", "downsample": "shortcut"}
STEM = {"conv1": "stem.0", "bn1": "stem.1", "fc": "head", "linear": "head", "classifier": "head"}
COUNTER = "num_batches_tracked"
SHOWN = 4


def imported(recipe: CheckpointRecipe, classes: list[str]) -> Classifier:
    """The classifier of a checkpoint, for a data set's classes in their order.

    Knows the keys of torchvision's, OpenOOD's and the public CIFAR ResNets and of our own files. Raises SynthoodError
    where weights are missing, unknown, of another shape or not finite.
    """
    network = build(recipe.network, len(classes), seed=0)
    expected = network.state_dict()
    state = renamed(read_state(Path(recipe.path)), BLOCKS[recipe.network.name])
    # Counters of batches, which old files lack, decide nothing; the initial ones stay.
    state = {key: value for key, value in state.items() if not key.endswith(COUNTER)}
    state |= {key: value for key, value in expected.items() if key.endswith(COUNTER)}
    check(state, expected, recipe.path)
    network.load_state_dict(state)
    return Classifier(recipe.network, classes, recipe.mean, recipe.deviation, network.eval())


def read_state(path: Path) -> State:
    """Tensors by key from safetensors or torch's format, of which no more than tensors is unpickled."""
    try:
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


def renamed(state: State, blocks: list[int]) -> State:
    """The same with our keys; a key that is not known stays."""
    while any(all(key.startswith(f"{prefix}.") for key in state) for prefix in PREFIXES):
        state = {key.partition(".")[2]: value for key, value in state.items()}
    return {our_key(key, blocks): value for key, value in state.items()}


def our_key(key: str, blocks: list[int]) -> str:
    """`layer2.0.conv1.weight` as `stages.3.convolution1.weight` where the first stage has three blocks."""
    found = re.fullmatch(r"layer(\d)\.(\d+)\.([^.]+)\.(.+)", key)
    if found:
        stage, index, part, rest = found.groups()
        return f"stages.{sum(blocks[: int(stage) - 1]) + int(index)}.{PARTS.get(part, part)}.{rest}"
    first, _, rest = key.partition(".")
    return f"{STEM[first]}.{rest}" if first in STEM else key


def check(state: State, expected: State, where: str) -> None:
    """Raises where a state is not one of the network's."""
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unknown:
        told = [f"{what} {listed(keys)}" for what, keys in (("missing", missing), ("unknown", unknown)) if keys]
        raise SynthoodError(f"{where}: weights that do not fit `network`: {'; '.join(told)}")
    for key, value in state.items():
        if value.shape != expected[key].shape:
            shapes = f"{list(value.shape)}, the network's {list(expected[key].shape)}"
            raise SynthoodError(f"{where}: {key} has shape {shapes}; mend network.name, network.width or the classes")
        if value.is_floating_point() and not value.isfinite().all():
            raise SynthoodError(f"{where}: {key} is not finite; the checkpoint is broken")


def listed(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more

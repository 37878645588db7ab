"""State dicts of other code as a classifier of ours: read without running anything, renamed, checked."""

import re
from pathlib import Path

from synthood.common.states import State, read_state
from synthood.errors import SynthoodError
from synthood.training.networks.base import ImageNetwork
from synthood.training.networks.from_timm import TimmClassifier
from synthood.training.networks.model import Classifier
from synthood.training.networks.residual import BLOCKS, WIDENING, build
from synthood.training.networks.settings import AnyNetwork
from synthood.training.settings import CheckpointRecipe

PREFIXES = ("module", "model", "network", "net", "backbone")
"""What wrappers such as DataParallel put before every key."""
PARTS = {
    "conv1": "convolution1",
    "bn1": "norm1",
    "conv2": "convolution2",
    "bn2": "norm2",
    "conv3": "convolution3",
    "bn3": "norm3",
    "downsample": "shortcut",
    "convShortcut": "projection",
}
STEM = {"conv1": "stem.0", "bn1": "stem.1", "fc": "head", "linear": "head", "classifier": "head"}
BLOCK = re.compile(r"(?:layer(\d)|block(\d)\.layer)\.(\d+)\.([^.]+)\.(.+)")
"""Of torchvision's and the public CIFAR ResNets, and of the public wide networks."""
COUNTER = "num_batches_tracked"
SHOWN = 4


def imported(recipe: CheckpointRecipe, classes: list[str]) -> Classifier:
    """The classifier of a checkpoint, for a data set's classes in their order.

    Knows the keys of torchvision's, OpenOOD's and the public CIFAR ResNets, of the public wide networks, of timm, and
    of our own files. Raises SynthoodError where weights are missing, unknown, of another shape or not finite.
    """
    network = build(recipe.network, len(classes), seed=0)
    state = read_state(Path(recipe.path), recipe.sha256)
    load_state(network, renamed(state, network, recipe.network), recipe.path)
    return Classifier(recipe.network, classes, recipe.mean, recipe.deviation, network.eval())


def load_state(network: ImageNetwork, state: State, where: str) -> None:
    """Puts a state by our keys into a network; raises where it does not fit."""
    expected = network.state_dict()
    # Counters of batches, which old files lack, decide nothing; the initial ones stay.
    state = {key: value for key, value in state.items() if not key.endswith(COUNTER)}
    state |= {key: value for key, value in expected.items() if key.endswith(COUNTER)}
    check(state, expected, where)
    network.load_state_dict(state)


def renamed(state: State, network: ImageNetwork, settings: AnyNetwork) -> State:
    """The same with our keys; a key that is not known stays."""
    while any(all(key.startswith(f"{prefix}.") for key in state) for prefix in PREFIXES):
        state = {key.partition(".")[2]: value for key, value in state.items()}
    if {key.partition(".")[0] for key in state} <= {name for name, _ in network.named_children()}:
        return state
    if isinstance(network, TimmClassifier):
        return {timm_key(key, network.classifier): value for key, value in state.items()}
    blocks = BLOCKS[settings.name]
    return {our_key(key, blocks, settings.name in WIDENING): value for key, value in state.items()}


def our_key(key: str, blocks: list[int], wide: bool = False) -> str:
    """`layer2.0.conv1.weight` as `stages.3.convolution1.weight` where the first stage has three blocks.

    A wide network's own `bn1` comes after the blocks.
    """
    if found := BLOCK.fullmatch(key):
        layer, block, index, part, rest = found.groups()
        before = sum(blocks[: int(layer or block) - 1])
        return f"stages.{before + int(index)}.{PARTS.get(part, part)}.{rest}"
    first, _, rest = key.partition(".")
    if wide and first == "bn1":
        return f"stages.{sum(blocks)}.{rest}"
    return f"{STEM[first]}.{rest}" if first in STEM else key


def timm_key(key: str, classifier: str) -> str:
    """timm's key as ours, which sets the classifier apart."""
    place, _, last = key.rpartition(".")
    return f"head.{last}" if place == classifier else f"model.{key}"


def check(state: State, expected: State, where: str) -> None:
    """Raises where a state is not one of the network's."""
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unknown:
        told = [f"{what} {listed(keys)}" for what, keys in (("missing", missing), ("unknown", unknown)) if keys]
        raise SynthoodError(f"{where}: weights that do not fit `network`: {'; '.join(told)}")
    for key, value in state.items():
        if value.shape != expected[key].shape:
            shapes = f"{list(value.shape)}, the network's {list(expected[key].shape)}"
            raise SynthoodError(
                f"{where}: {key} has shape {shapes}; mend network.name, its width or image_size, or the classes"
            )
        if value.is_floating_point() and not value.isfinite().all():
            raise SynthoodError(f"{where}: {key} is not finite; the checkpoint is broken")


def listed(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more

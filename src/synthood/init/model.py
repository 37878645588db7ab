"""A classifier that is trained already: its network, classes and normalisation, and whether it knows the images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from synthood.common.identity import sha256
from synthood.common.states import State, read_states
from synthood.data.files.decode import Reading
from synthood.data.selection import Selection, Split
from synthood.data.sources.in_files import IdFiles
from synthood.errors import SynthoodError, printable
from synthood.training.networks.architectures.base import NetworkSettings, build
from synthood.training.networks.architectures.from_timm import TimmNetwork, created
from synthood.training.networks.architectures.from_torchvision import TorchvisionNetwork
from synthood.training.networks.checkpoint import imported
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.fitting import WRAPPERS
from synthood.training.networks.inspect import candidates, likely
from synthood.training.networks.model import logits_and_features
from synthood.training.networks.settings import network_described

IMAGES = 500
"""Images whose labels are compared with the model's answers."""
SURE = 3.0
"""Standard errors above chance from which a model knows the classes at all."""
LOW = 0.5
"""Accuracy below which the model is reported as doubtful."""


@dataclass(frozen=True)
class Given:
    """A trained classifier as the user names it."""

    file: Path
    arch: str | None = None
    mean: list[float] | None = None
    std: list[float] | None = None


@dataclass(frozen=True)
class Known:
    """What a file holds: its recipe, numbers of classes and features, the side of its images, and notes."""

    recipe: CheckpointRecipe
    classes: int
    features: int
    size: int
    resize: int | None
    notes: list[str]


def known(given: Given) -> Known:
    """The network of a file of weights; raises SynthoodError where it is not found, or its normalisation unknown."""
    if not given.file.is_file():
        raise SynthoodError(f"{printable(given.file)}: no such file; --from-model takes a file of weights")
    states = read_states(given.file)
    found = likely(states, None if given.arch is None else list(_named(given.arch, states)))
    where = printable(given.file)
    if found is None:
        what = "the network" if given.arch is None else printable(given.arch)
        remedy = "name it by --arch" if given.arch is None else "name another by --arch"
        raise SynthoodError(f"{where}: its weights are not those of {what}; {remedy} (see `synthood checkpoint show`)")
    network, classes, notes = found
    mean, std, origin = given.mean, given.std, "as given"
    size, resize = _usual_side(network)
    if isinstance(network, TimmNetwork):
        size, resize, own_mean, own_std = _of_timm(network)
        origin = "as given" if mean or std else f"timm's own for {network.name}; else give --mean and --std"
        mean, std = mean or own_mean, std or own_std
    if mean is None or std is None:
        raise SynthoodError(
            f"{where}: what its images were normalised by is not in the file; give --mean R G B --std R G B in [0,1] "
            f"(ImageNet's: --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225)"
        )
    keys = {"kind": "checkpoint", "path": str(given.file), "sha256": sha256(given.file), "network": network}
    recipe = CheckpointRecipe.model_validate(keys | {"mean": mean, "std": std})
    features = build(network, classes, 0).head.in_features
    return Known(recipe, classes, features, size, resize, [*notes, f"mean and std: {origin}"])


def _named(arch: str, states: dict[str, State]) -> list[NetworkSettings]:
    """Networks of a name: of ours those whose width and stem fit the weights."""
    if "/" in arch:
        return [network_described({"name": arch})]
    flat = {WRAPPERS.sub("", key): value for state in states.values() for key, value in state.items()}
    return [one for one in candidates(flat) if getattr(one, "name", "") == arch]


def _usual_side(network: NetworkSettings) -> tuple[int, int | None]:
    """Side of the images that a network is usually trained on, and the shorter side before the cut."""
    if isinstance(network, TorchvisionNetwork):
        return 224, 256
    return int(getattr(network, "stem", 32)), None


def _of_timm(network: TimmNetwork) -> tuple[int, int | None, list[float], list[float]]:
    """Side, shorter side before the cut, mean and std that timm has for a network."""
    facts = created(network, num_classes=2).default_cfg
    side = int(facts["input_size"][-1])
    resize = int(side / float(facts.get("crop_pct") or 1))
    return side, resize if resize != side else None, list(facts["mean"]), list(facts["std"])


def accuracy(recipe: CheckpointRecipe, source: IdFiles, part: Split) -> tuple[float, str]:
    """Share of at most 500 images of a part that the model gives their folder's class, and a warning where it is low.

    Raises SynthoodError where that is near chance; then the classes may have another order, which is said.
    """
    listing = source.listed(Selection(part=part))
    rows = np.unique(np.linspace(0, len(listing) - 1, min(IMAGES, len(listing))).round().astype(int))
    reading = Reading(listing.chosen(rows), source, threads=source.threads)
    images, labels = np.stack(list(reading)), reading.labels
    classifier = imported(recipe, listing.classes, report=lambda note: None)
    logits, _ = logits_and_features(classifier, images, torch.device("cpu"))
    answers = logits.argmax(1).numpy()
    share, count = float((answers == labels).mean()), len(listing.classes)
    order, permuted = _best_order(answers, labels, count)
    chance = float(np.bincount(labels, minlength=count).max() / len(labels))
    says = f"{printable(recipe.path)}: gives {share:.1%} of {len(labels)} images the class of their folder"
    if share < LOW and permuted > share + 0.25:
        names = " ".join(printable(listing.classes[label]) for label in order)
        raise SynthoodError(
            f"{says}, but {permuted:.1%} if its outputs are in another order than the folders' names; check the order "
            f"and give it by --classes {names}"
        )
    if share <= chance + SURE * float(np.sqrt(chance * (1 - chance) / len(labels))):
        raise SynthoodError(
            f"{says}, which is near chance ({chance:.1%}); check the order of the classes (--classes), --mean and "
            f"--std, --size, and that it is a model of these classes"
        )
    return share, f"{says}: check --mean, --std and --size" if share < LOW else ""


def _best_order(answers: np.ndarray, labels: np.ndarray, count: int) -> tuple[list[int], float]:
    """The label of each output under the assignment with the best accuracy, and this accuracy."""
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (answers, labels), 1)
    outputs, order = linear_sum_assignment(-table)
    return order.tolist(), float(table[outputs, order].sum() / len(labels))

"""Weights that training starts from: random ones, or those of a network trained elsewhere."""

from pathlib import Path

from synthood.common.identity import sha256
from synthood.common.states import Report, read_states
from synthood.training.networks.architectures.base import ImageNetwork, NetworkSettings, build
from synthood.training.networks.checkpoint import load_state
from synthood.training.networks.fitting import Choice
from synthood.training.networks.settings import pretrained_file


def initial(settings: NetworkSettings, classes: int, seed: int, report: Report = print) -> ImageNetwork:
    """The network that a recipe starts from; a pretrained one of other classes has its last Linear drawn anew.

    Raises SynthoodError where the pretrained weights are not there, or not the network's.
    """
    network = build(settings, classes, seed)
    if path := pretrained_file(settings):
        states, where = read_states(Path(path), getattr(settings, "sha256", None)), path
    elif weights := settings.own_weights():
        states, where = {"": weights}, getattr(settings, "name", settings.kind)
    else:
        return network
    load_state(network, settings, states, Choice(), where, report, new_head=True)
    return network


def pretrained_digest(settings: NetworkSettings) -> str | None:
    """SHA-256 of the file that training starts from, if it starts from one that is there."""
    path = pretrained_file(settings)
    return sha256(Path(path)) if path and Path(path).is_file() else None

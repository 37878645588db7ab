"""Weights that training starts from: random ones, or those of a network trained elsewhere."""

from pathlib import Path

import torch

from synthood.common.identity import sha256
from synthood.common.states import Report, read_states
from synthood.training.networks.architectures.base import ImageNetwork, NetworkSettings, build_plain, headed
from synthood.training.networks.checkpoint import load_state
from synthood.training.networks.fitting import Choice
from synthood.training.networks.settings import pretrained_file


def initial(
    settings: NetworkSettings, classes: int, seed: int, report: Report = print, zero_head: bool = False
) -> ImageNetwork:
    """The network that a recipe starts from; a pretrained one of other classes has its last Linear drawn anew.

    With `zero_head` that Linear is zero above a frozen backbone.
    Raises SynthoodError where the pretrained weights are not there, or not the network's.
    """
    network = build_plain(settings, classes, seed)
    if path := pretrained_file(settings):
        states, where = read_states(Path(path), getattr(settings, "sha256", None)), path
    elif weights := settings.own_weights():
        states, where = {"": weights}, getattr(settings, "name", settings.kind)
    else:
        return headed(settings, network, classes, seed)
    drawn = network.head.weight.clone()
    load_state(network, settings, states, Choice(), where, report, new_head=True)
    if zero_head and settings.frozen and torch.equal(network.head.weight, drawn):
        with torch.no_grad():
            network.head.weight.zero_()
            network.head.bias.zero_()
    return headed(settings, network, classes, seed)


def pretrained_digest(settings: NetworkSettings) -> str | None:
    """SHA-256 of the file that training starts from, if it starts from one that is there."""
    path = pretrained_file(settings)
    return sha256(Path(path)) if path and Path(path).is_file() else None

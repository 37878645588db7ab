"""Weights that training starts from: random ones, or those of a network trained elsewhere."""

from pathlib import Path

import numpy as np
import torch

from synthood.common.encoded import EncodedImages
from synthood.common.identity import sha256
from synthood.common.states import Report, read_states
from synthood.training.networks.architectures.base import ImageNetwork, NetworkSettings, build_plain, headed
from synthood.training.networks.checkpoint import load_state
from synthood.training.networks.fitting import Choice
from synthood.training.networks.model import channel_statistics
from synthood.training.networks.settings import pretrained_file

NEW_HEAD_STD = 1e-3
"""Not 0: losses that divide by the logits' norm have no gradient there."""


def initial(settings: NetworkSettings, classes: int, seed: int, report: Report = print) -> ImageNetwork:
    """The network that a recipe starts from; a pretrained one of other classes has its last Linear drawn anew, small.

    With the library's own initialisation, of std 0.2 in EfficientNets, the first steps would ruin the features.
    Raises SynthoodError where the pretrained weights are not there, or not the network's.
    """
    network = build_plain(settings, classes, seed)
    if path := pretrained_file(settings):
        states, where = read_states(Path(path), getattr(settings, "sha256", None)), path
    elif weights := settings.own_weights():
        states, where = {"": weights}, getattr(settings, "name", settings.kind)
    else:
        return headed(settings, network, classes, seed)
    drawn = network.head.weight.detach().clone()
    load_state(network, settings, states, Choice(), where, report, new_head=True)
    if torch.equal(network.head.weight, drawn):
        with torch.no_grad():
            network.head.weight.mul_(NEW_HEAD_STD / drawn.std())
            network.head.bias.zero_()
    return headed(settings, network, classes, seed)


def input_statistics(
    settings: NetworkSettings, images: np.ndarray | EncodedImages, report: Report = print
) -> tuple[list[float], list[float]]:
    """Mean and std of the channels by which inputs are normalised, in [0,1]: those that pretrained weights expect.

    Without such weights, those of the images uint8 [N,H,W,3].
    """
    if (own := settings.own_statistics()) is None:
        return channel_statistics(images)
    report(f"inputs are normalised as the pretrained network expects: mean {own[0]}, std {own[1]}")
    return own


def pretrained_digest(settings: NetworkSettings) -> str | None:
    """SHA-256 of the file that training starts from, if it starts from one that is there."""
    path = pretrained_file(settings)
    return sha256(Path(path)) if path and Path(path).is_file() else None

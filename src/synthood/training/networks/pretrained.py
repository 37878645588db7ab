"""Weights that training starts from: random ones, or those of a network trained elsewhere."""

from pathlib import Path

import numpy as np
import torch

from synthood.common.encoded import EncodedImages
from synthood.common.identity import digest_of
from synthood.common.image_facts import NONE, ImageFacts, resized_to
from synthood.common.states import Report, read_states
from synthood.training.networks.architectures.base import (
    ImageNetwork,
    NetworkSettings,
    OwnInputs,
    PretrainedSettings,
    build_plain,
    headed,
)
from synthood.training.networks.checkpoint import load_state
from synthood.training.networks.fitting import Choice
from synthood.training.networks.model import channel_statistics
from synthood.training.networks.settings import pretrained_file

NEW_HEAD_STD = 1e-3
"""Not 0: losses that divide by the logits' norm have no gradient there."""


def initial(
    settings: NetworkSettings, classes: int, seed: int, report: Report = print, small_head: bool = True
) -> ImageNetwork:
    """The network that a recipe starts from; a pretrained one of other classes has its last Linear drawn anew.

    It is then small where `small_head`: with the library's own initialisation, of std 0.2 in EfficientNets, the first
    steps would ruin the features.
    Raises SynthoodError where the pretrained weights are not there, or not the network's.
    """
    network = build_plain(settings, classes, seed)
    path = pretrained_file(settings)
    if weights := settings.own_weights():
        states, where = {"": weights}, path or str(getattr(settings, "name", settings.kind))
    elif path:
        states, where = read_states(Path(path), getattr(settings, "sha256", None)), path
    else:
        return headed(settings, network, classes, seed)
    drawn = network.head.weight.detach().clone()
    load_state(network, settings, states, Choice(), where, report, new_head=True)
    if small_head and torch.equal(network.head.weight, drawn):
        with torch.no_grad():
            network.head.weight.mul_(NEW_HEAD_STD / drawn.std())
            network.head.bias.zero_()
    return headed(settings, network, classes, seed)


def input_statistics(
    settings: NetworkSettings,
    images: np.ndarray | EncodedImages,
    report: Report = print,
    facts: ImageFacts | None = None,
) -> tuple[list[float], list[float]]:
    """Mean and std of the channels by which inputs are normalised, in [0,1]: those that pretrained weights expect.

    Without such weights, those of the images uint8 [N,H,W,3], of which `facts` say how they were resized.
    """
    if not isinstance(settings, PretrainedSettings) or not settings.pretrained:
        return channel_statistics(images)
    if (own := settings.own_inputs()) is None:
        return channel_statistics(images)
    found = own.mean, own.std
    if settings.normalisation == "images":
        found = channel_statistics(images)
    else:
        report(f"inputs are normalised as the pretrained network expects: mean {own.mean}, std {own.std}")
    height, width = images.shape[1:3]
    if text := other_inputs(settings, own, height, width, facts):
        report(text)
    return found


def other_inputs(
    settings: PretrainedSettings, own: OwnInputs, height: int, width: int, facts: ImageFacts | None
) -> str:
    """In what images differ from those of a pretrained network in size, cut and interpolation; empty where in nothing.

    With the keys of the data that would prepare them alike at their own size.
    """
    rules = set(facts.resize) - {NONE} if facts else set()
    side = settings.image_size or height
    alike = resized_to(own.shorter_at(height), own.interpolation)
    if (side, height) == (own.side, width) and rules <= {alike}:
        return ""
    enlarged = f", resized to {side} px in the network, {settings.resampling}" if settings.image_size else ""
    told = f" ({', '.join(sorted(rules))})" if rules else ""
    keys = f"resize: {own.shorter_at(height)}, interpolation: {own.interpolation}"
    remedy = f"; `{keys}` of the data cuts and resizes alike" if rules - {alike} else ""
    return (
        f"the pretrained network has seen {own.side}x{own.side} px, the centre of a shorter side of {own.shorter} px, "
        f"{own.interpolation}; these are {width}x{height} px{told}{enlarged}{remedy}"
    )


def pretrained_digest(settings: NetworkSettings) -> str | None:
    """SHA-256 of the file that training starts from, or of the folder's files, if it starts from one that is there."""
    path = pretrained_file(settings)
    return digest_of(Path(path)) if path and Path(path).exists() else None

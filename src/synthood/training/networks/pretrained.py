"""Weights that training starts from: random ones, or those of a network trained elsewhere."""

from pathlib import Path

from torch import Tensor

from synthood.common.artefact import sha256
from synthood.common.states import State, read_state
from synthood.training.networks.base import ImageNetwork
from synthood.training.networks.checkpoint import load_state, renamed
from synthood.training.networks.from_timm import created
from synthood.training.networks.residual import build
from synthood.training.networks.settings import AnyNetwork, TimmNetwork


def initial(settings: AnyNetwork, classes: int, seed: int) -> ImageNetwork:
    """The network that a recipe starts from; a pretrained one of other classes has its last Linear drawn anew.

    Raises SynthoodError where the pretrained weights are not there, or not the network's.
    """
    network = build(settings, classes, seed)
    if not isinstance(settings, TimmNetwork) or not settings.pretrained:
        return network
    if isinstance(settings.pretrained, str):
        where = settings.pretrained
        state = read_state(Path(where), settings.sha256)
    else:
        where = settings.name
        state = created(settings, pretrained=True).state_dict()
    load_state(network, with_own_head(renamed(state, network, settings), network), where)
    return network


def with_own_head(state: State, network: ImageNetwork) -> State:
    """The state, with the network's last Linear in the place of one of other classes, or of none."""
    own: dict[str, Tensor] = {f"head.{key}": value for key, value in network.head.state_dict().items()}
    fits = all(key in state and state[key].shape == value.shape for key, value in own.items())
    return state if fits else {key: value for key, value in state.items() if not key.startswith("head.")} | own


def pretrained_digest(settings: AnyNetwork) -> str | None:
    """SHA-256 of the file that training starts from, if it starts from one that is there."""
    path = settings.pretrained if isinstance(settings, TimmNetwork) else False
    return sha256(Path(path)) if isinstance(path, str) and Path(path).is_file() else None

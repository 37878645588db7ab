"""Exponential moving average of a network's weights."""

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

Network = TypeVar("Network", bound=nn.Module)


class MovingAverage(Generic[Network]):
    """A network whose floating-point entries are averages; those of buffers only with `buffers`, else they are copied.

    After step t the decay is min(decay, (1 + t) / (10 + t)), so that the start is soon forgotten.
    """

    def __init__(self, network: Network, decay: float, buffers: bool = True) -> None:
        self.decay, self.buffers = decay, buffers
        self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the network's weights after step `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        average, now = self.network.state_dict(), network.state_dict()
        chosen = now if self.buffers else dict(network.named_parameters(remove_duplicate=False))
        moved = [key for key in chosen if now[key].is_floating_point()]
        get_ema_multi_avg_fn(decay)([average[key] for key in moved], [now[key] for key in moved], 0)
        for key in now.keys() - moved:
            average[key].copy_(now[key])

    def copy_to(self, network: nn.Module) -> None:
        """Gives the network the averaged weights."""
        network.load_state_dict(self.network.state_dict())

    def state_dict(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state)

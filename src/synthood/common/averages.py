"""Exponential moving average of a network's weights."""

from typing import Any

import torch
from torch import Tensor, nn


class MovingAverage:
    """Averages all floating-point entries of a state; short memory at first, `decay` in the end."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the network's weights of `step`."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - keep)
            else:
                self.average[key].copy_(value)

    def copy_to(self, network: nn.Module) -> None:
        """Gives the network the averaged weights."""
        network.load_state_dict(self.average)

    def state_dict(self) -> dict[str, Tensor]:
        return self.average

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            self.average[key].copy_(value)

"""What the tests of losses share: gradients by finite differences, and batches of a small network."""

from typing import Any

import torch
from torch import Tensor

from synthood.training.methods.term import Batch
from synthood.training.networks.architectures.residual import ResNet


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Float64 numbers that ask for gradients."""
    return torch.randn(shape, generator=random(seed), dtype=torch.float64, requires_grad=True)


def batch_of(network: ResNet, labels: Tensor, **more: Any) -> Batch:
    """Noise of 8 x 8 pixels through a network, with these labels."""
    inputs = torch.randn((len(labels), 3, 8, 8), generator=random())
    features = network.features(inputs)
    given = {"rows": torch.arange(len(labels)), "logits": network.head(features), "features": features}
    return Batch(inputs=inputs, labels=labels, head=network.head, random=random(1), **(given | more))


def reaches(network: ResNet, loss: Tensor) -> bool:
    """Whether the loss has a gradient into the network's first layer that is not zero."""
    network.zero_grad()
    loss.backward()
    found = network.stem[0].weight.grad
    return found is not None and float(found.abs().max()) > 0

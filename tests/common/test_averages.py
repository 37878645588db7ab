"""Averages of weights by hand."""

import pytest
import torch

from synthood.common.averages import MovingAverage
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network


@pytest.mark.parametrize("buffers", [True, False])
def test_average_by_hand(buffers: bool) -> None:
    network = build(Network(name="resnet8", width=8), 2, seed=0)
    average = MovingAverage(network, 0.3, buffers)
    weight = network.head.weight
    first = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1)
    network.stem[1].running_mean.fill_(7.0)
    network.stem[1].num_batches_tracked.fill_(5)
    average.update(network, 0)  # decay 0.1
    expected = first + 0.9
    torch.testing.assert_close(average.network.head.weight, expected)
    assert average.network.stem[1].running_mean.tolist() == pytest.approx([6.3 if buffers else 7.0] * 8)
    assert average.network.stem[1].num_batches_tracked == 5
    with torch.no_grad():
        weight.add_(1)
    average.update(network, 100)  # decay 0.3
    torch.testing.assert_close(average.network.head.weight, 0.3 * expected + 0.7 * (first + 2))

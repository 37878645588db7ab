"""MCD: entropies of two last layers by hand, and who learns what."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.training.methods.discrepancy import ClassifierDiscrepancy, DiscrepancyExposure, discrepancy
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network, ResNet
from toy_training import batch_of, normal, random, reaches

LABELS = torch.tensor([0, 1, 2, 0])


def term_of(network: ResNet, smoothing: float = 0.0, **more: float) -> ClassifierDiscrepancy:
    settings = DiscrepancyExposure.model_validate({"kind": "discrepancy", "from": "o", "start": 0.5} | more)
    images = np.zeros((5, 8, 8, 3), np.uint8)
    width = network.head.in_features
    return ClassifierDiscrepancy(settings, Context(width, 3, smoothing, exposed=images))


def step(network: ResNet, term: ClassifierDiscrepancy, progress: float = 0.5, weights: Tensor | None = None) -> Batch:
    own = batch_of(network, LABELS, progress=progress, weights=weights)
    inputs = torch.randn((5, 3, 8, 8), generator=random(3))
    features = network.features(inputs)
    auxiliary = {"discrepancy": AuxiliaryInputs(inputs, features=features, logits=network.head(features))}
    return Batch(**(vars(own) | {"auxiliary": auxiliary}))


@pytest.fixture
def network() -> ResNet:
    return build(Network(name="resnet8", width=8), 3, seed=0)


def test_discrepancy_is_the_mean_difference_of_entropies() -> None:
    first, second = normal(4, 3), normal(4, 3, seed=1)

    def entropy(row: list[float]) -> float:
        return -math.fsum(p * math.log(p) for p in row)

    rows = [[entropy(row) for row in logits.detach().softmax(1).tolist()] for logits in (first, second)]
    expected = math.fsum(a - b for a, b in zip(*rows, strict=True)) / 4
    assert float(discrepancy(first, second).detach()) == pytest.approx(expected, abs=1e-6)
    assert torch.autograd.gradcheck(discrepancy, (first, second))
    certain = torch.tensor([[90.0, 0.0, 0.0]])
    assert float(discrepancy(torch.zeros(1, 3), certain)) == pytest.approx(math.log(3))


@pytest.mark.parametrize("weights", [None, [0.4, 0.3, 0.2, 0.1]])
def test_losses_by_hand(network: ResNet, weights: list[float] | None) -> None:
    term = term_of(network, smoothing=0.1, weight=0.7, margin=2.0)
    batch = step(network, term, weights=None if weights is None else torch.tensor(weights))
    losses = term(batch)
    logits = batch.features @ term.second.weight.T + term.second.bias
    each = F.cross_entropy(logits, LABELS, reduction="none", label_smoothing=0.1).tolist()
    expected = math.fsum(a * b for a, b in zip(weights or [0.25] * 4, each, strict=True))
    assert float(losses["second_cross_entropy"].detach()) == pytest.approx(expected, abs=1e-6)
    auxiliary = batch.auxiliary["discrepancy"]
    apart = discrepancy(auxiliary.logits, auxiliary.features @ term.second.weight.T + term.second.bias)
    assert float(losses["discrepancy"].detach()) == pytest.approx(0.7 * (2.0 - float(apart.detach())), abs=1e-6)


def test_losses_reach_the_network_and_both_layers(network: ResNet) -> None:
    term = term_of(network)
    losses = term(step(network, term))
    assert reaches(network, losses["discrepancy"])
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in (network.head.weight, term.second.weight))
    assert reaches(network, term(step(network, term))["second_cross_entropy"])


def test_discrepancy_counts_from_its_start_and_up_to_the_margin(network: ResNet) -> None:
    term = term_of(network)
    assert float(term(step(network, term, progress=0.49))["discrepancy"].detach()) == 0
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
        term.second.bias.copy_(torch.tensor([0.0, 200.0, 0.0]))
    wide = term_of(network, margin=1.0)
    wide.second = term.second
    assert float(wide(step(network, wide))["discrepancy"].detach()) == 0  # log 3 is above the margin
    assert float(term(step(network, term))["discrepancy"].detach()) == pytest.approx(1.2 - math.log(3), abs=1e-5)

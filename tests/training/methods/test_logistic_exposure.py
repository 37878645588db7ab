"""Dream-OOD's energies: the loss by hand, its gradient, and that the network feels it."""

import math

import pytest
import torch

from synthood.training.methods.logistic_exposure import LogisticEnergies, LogisticExposure, separation
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from toy_training import batch_of, normal, random, reaches

LABELS = torch.tensor([0, 1, 2, 0])


def nll(score: float) -> float:
    """-log sigmoid."""
    return math.log1p(math.exp(-score))


@pytest.mark.parametrize("weights", [None, [0.25, 0.75]])
def test_loss_by_hand(weights: list[float] | None) -> None:
    """The logsumexp of two equal logits z is z + log 2."""
    known, outliers = (
        torch.tensor([[z, z] for z in values]) - math.log(2) for values in ((2.0, -1.0), (0.5, 3.0, 1.0))
    )
    shares = weights or [0.5, 0.5]
    expected = shares[0] * nll(1.5 * 2 - 1) + shares[1] * nll(-1.5 - 1)
    expected += sum(nll(-(1.5 * energy - 1)) for energy in (0.5, 3.0, 1.0)) / 3
    given = None if weights is None else torch.tensor(weights)
    found = separation(known, outliers, torch.tensor(1.5), torch.tensor(-1.0), given)
    assert float(found) == pytest.approx(expected / 2, abs=1e-6)


def test_gradient_by_finite_differences() -> None:
    scale, offset = normal(seed=2), normal(seed=3)
    assert torch.autograd.gradcheck(separation, (normal(5, 3), normal(4, 3, seed=1), scale, offset))


def test_the_network_and_the_layer_learn_from_it() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    settings = LogisticExposure.model_validate({"kind": "logistic", "from": "o", "weight": 0.5})
    term = LogisticEnergies(settings, Context(32, 3))
    inputs = torch.randn((5, 3, 8, 8), generator=random(3))
    own, features = batch_of(network, LABELS), network.features(inputs)
    auxiliary = {"exposure": AuxiliaryInputs(inputs, features=features, logits=network.head(features))}
    batch = Batch(**(vars(own) | {"auxiliary": auxiliary}))
    (loss,) = term(batch).values()
    layer = term.logistic
    expected = separation(own.logits, auxiliary["exposure"].logits, layer.weight[0, 0], layer.bias[0])
    torch.testing.assert_close(loss, 0.5 * expected)
    assert reaches(network, loss)
    assert all(parameter.grad is not None and float(parameter.grad.abs().max()) > 0 for parameter in layer.parameters())

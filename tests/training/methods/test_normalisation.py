"""LogitNorm, T2FNorm and dropout before the last layer."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from synthood.training.forward import training_logits
from synthood.training.methods.normalisation import LogitNorm, T2FNorm
from synthood.training.networks.architectures.residual import Network
from synthood.training.settings import RecipeSettings
from toy_training import normal, random

LOGITNORM, T2FNORM = LogitNorm(kind="logitnorm"), T2FNorm(kind="t2fnorm", temperature=0.5)


def recipe(**more: Any) -> RecipeSettings:
    network = Network(name="resnet8", width=8)
    return RecipeSettings(network=network, epochs=1, batch_size=2, learning_rate=0.1, **more)


def test_logitnorm_by_hand() -> None:
    """(3, 4) has length 5; the loss is log(1 + exp(-0.2 / 0.04))."""
    logits = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    found = LOGITNORM.adjusted_logits(logits)
    torch.testing.assert_close(found, torch.tensor([[15.0, 20.0]], dtype=torch.float64), atol=1e-5, rtol=0)
    loss = F.cross_entropy(found, torch.tensor([1]))
    assert float(loss) == pytest.approx(float(torch.tensor(-5.0).exp().log1p()), abs=1e-6)
    assert T2FNORM.adjusted_logits(logits) is logits


def test_logitnorm_does_not_see_the_length() -> None:
    logits = normal(5, 4)
    torch.testing.assert_close(
        LOGITNORM.adjusted_logits(7 * logits), LOGITNORM.adjusted_logits(logits), atol=1e-5, rtol=1e-6
    )


def test_logitnorm_gradient() -> None:
    labels = torch.tensor([0, 1, 2, 3, 1])
    norm = LogitNorm(kind="logitnorm", temperature=0.5)
    assert torch.autograd.gradcheck(lambda z: F.cross_entropy(norm.adjusted_logits(z), labels), normal(5, 4))


def test_t2fnorm_by_hand_and_gradient() -> None:
    head, features = nn.Linear(3, 2).double(), normal(5, 3)
    found = training_logits(head, features, recipe(normalisation=T2FNORM), random())
    lengths = features.detach().square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(found, features / lengths / 0.5 @ head.weight.T + head.bias, atol=1e-6, rtol=0)
    assert torch.autograd.gradcheck(
        lambda h: training_logits(head, h, recipe(normalisation=T2FNORM), random()), features
    )


def test_without_either_logits_are_the_heads() -> None:
    head, features = nn.Linear(3, 2).double(), normal(5, 3)
    assert torch.equal(training_logits(head, features, recipe(), random()), head(features))


def test_dropout_keeps_the_mean_and_follows_the_generator() -> None:
    head = nn.Linear(4000, 4000, bias=False)
    nn.init.eye_(head.weight)
    features = torch.ones((3, 4000))
    found = training_logits(head, features, recipe(dropout=0.25), random())
    assert sorted(found.unique().tolist()) == pytest.approx([0.0, 4 / 3])
    assert float((found == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(found, training_logits(head, features, recipe(dropout=0.25), random()))
    assert not torch.equal(found, training_logits(head, features, recipe(dropout=0.25), random(1)))

"""Heads between a network's features and its logits: standardised features."""

from pathlib import Path

import numpy as np
import pytest
import torch

from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.heads.standardised import Standardised, StandardisedHead
from synthood.training.networks.model import Classifier, logits_and_features
from toy_training import normal, random

CPU = torch.device("cpu")


def test_features_are_z_scores_of_one_length() -> None:
    """arXiv 2411.10794, proposition 2: |h| = sigma sqrt(D - 1)."""
    features = normal(6, 17)
    found = Standardised(0.5)(features).detach().numpy()
    rows = features.detach().numpy()
    expected = 0.5 * (rows - rows.mean(1, keepdims=True)) / rows.std(1, ddof=1, keepdims=True)
    assert found == pytest.approx(expected)
    assert np.linalg.norm(found, axis=1) == pytest.approx(0.5 * 4)
    assert torch.autograd.gradcheck(Standardised(0.7), (features,))


@pytest.mark.parametrize("width", [1, 5])
def test_constant_features_are_zero_and_have_a_gradient(width: int) -> None:
    features = torch.full((2, width), 3.0, requires_grad=True)
    found = Standardised(0.5)(features)
    found.sum().backward()
    assert not found.any()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_the_model_s_file_gives_the_same_standardised_features(tmp_path: Path) -> None:
    settings = Network(name="resnet8", width=8, head=StandardisedHead(scale=2.0))
    network = build(settings, 3, seed=0)
    classifier = Classifier(settings, ["a", "b", "c"], [0.5] * 3, [0.2] * 3, network)
    classifier.save(tmp_path / "model")
    read = Classifier.load(tmp_path / "model")
    assert read.settings == settings
    images = torch.randint(0, 256, (5, 8, 8, 3), generator=random(), dtype=torch.uint8).numpy()
    logits, features = logits_and_features(read, images, CPU)
    torch.testing.assert_close(features.norm(dim=1), torch.full((5,), 2.0 * 31**0.5))
    torch.testing.assert_close(logits, network.head(features).detach())
    plain = build(Network(name="resnet8", width=8), 3, seed=0)
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in network.network.state_dict().items())


def test_a_plain_head_goes_unsaid_in_the_file() -> None:
    assert "head" not in Network(name="resnet8").described()

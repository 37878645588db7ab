"""VOS: queues, Gaussian candidates, the loss, and when it begins."""

import math

import pytest
import torch
from torch import Tensor, nn

from synthood.training.methods.term import ForwardOutputs
from synthood.training.methods.virtual_outliers import (
    VirtualOutliers,
    VirtualOutlierSynthesis,
    enqueue,
    released_energies,
    uncertainty,
    unlikely,
)
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.terms.build import initialised, learned
from toy_training import batch_of, normal, random, reaches


@pytest.mark.parametrize("batch", [1, 3, 7, 40])
def test_queues_hold_the_latest_of_each_class(batch: int) -> None:
    labels = torch.randint(3, (40,), generator=random())
    features = torch.arange(40.0)[:, None].expand(40, 2)
    queue, seen = torch.full((3, 4, 2), -1.0), torch.zeros(3, dtype=torch.long)
    for start in range(0, 40, batch):
        enqueue(queue, seen, features[start : start + batch], labels[start : start + batch])
    for label in range(3):
        own = features[labels == label][:, 0].tolist()
        assert seen[label] == len(own)
        assert sorted(queue[label, :, 0].tolist()) == own[-4:]


def gaussians(per_class: int = 4000) -> Tensor:
    """Two classes of one covariance [[4, 1], [1, 1]], means (10, 0) and (-10, 5)."""
    factor = torch.linalg.cholesky(torch.tensor([[4.0, 1.0], [1.0, 1.0]]))
    noise = torch.randn((2, per_class, 2), generator=random()) @ factor.T
    return noise + torch.tensor([[10.0, 0.0], [-10.0, 5.0]])[:, None]


def distances(outliers: Tensor, queue: Tensor, shrinkage: float) -> Tensor:
    """Squared Mahalanobis distances [C,K] of outliers [C*K,2] to their class."""
    centred = torch.cat([one - one.mean(0) for one in queue])
    covariance = (1 - shrinkage) * (centred.T @ centred / len(centred))
    covariance = covariance + shrinkage * centred.square().mean() * torch.eye(2)
    away = outliers.view(2, -1, 2) - queue.mean(1)[:, None]
    return (away @ covariance.inverse() * away).sum(2)


def test_outliers_are_the_least_likely_candidates() -> None:
    """In two dimensions squared distances are exponential of mean 2; the longest of n have mean 2 (1/n + ... + 1)."""
    queue = gaussians()
    draws = [distances(unlikely(queue, 50, 3, 0.1, random(seed)), queue, 0.1) for seed in range(2000)]
    found = torch.cat(draws).mean(0)
    harmonic = sum(1 / k for k in range(1, 51))
    expected = [2 * harmonic, 2 * (harmonic - 1), 2 * (harmonic - 1.5)]
    assert found.tolist() == pytest.approx(expected, abs=0.15)


def test_candidates_have_the_shared_covariance() -> None:
    every = unlikely(gaussians(), 20000, 20000, 0.001, random()).view(2, 20000, 2)
    torch.testing.assert_close(every[0].mean(0), torch.tensor([10.0, 0.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(every[1].T.cov(), torch.tensor([[4.0, 1.0], [1.0, 1.0]]), atol=0.2, rtol=0)


def test_a_covariance_of_rank_one_is_no_obstacle() -> None:
    line = torch.arange(6.0).view(1, 6, 1).expand(2, 6, 3)
    assert unlikely(line, 50, 2, 0.01, random()).isfinite().all()
    assert unlikely(torch.zeros((2, 6, 3)), 50, 2, 0.01, random()).isfinite().all()


def test_loss_is_its_formula() -> None:
    known, outliers = normal(4, 3), normal(2, 3, seed=1)
    log_weights, scale, offset = normal(3, seed=2), torch.tensor(0.7).double(), torch.tensor(-0.2).double()
    each = []
    for logits, sign in [(row, 1) for row in known] + [(row, -1) for row in outliers]:
        energy = math.log(sum(math.exp(float((z + a).detach())) for z, a in zip(logits, log_weights, strict=True)))
        each.append(math.log(1 + math.exp(-sign * (0.7 * energy - 0.2))))
    found = uncertainty(known, outliers, log_weights, scale, offset)
    assert float(found.detach()) == pytest.approx(sum(each) / 6, abs=1e-6)
    leaves = (known, outliers, log_weights, scale.requires_grad_(), offset.requires_grad_())
    assert torch.autograd.gradcheck(uncertainty, leaves)


def test_the_loss_begins_once_queues_are_full_and_its_share_is_done() -> None:
    torch.manual_seed(0)
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    settings = VirtualOutliers(queue=4, candidates=100, start=0.4, weight=1.0)
    term = VirtualOutlierSynthesis(settings, network.head.in_features, 3)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])

    def step(progress: float) -> Tensor:
        loss: Tensor = term(batch_of(network, labels, progress=progress))["virtual_outliers"]
        return loss

    assert float(step(0.9).detach()) == 0  # two of each class
    assert float(step(0.3).detach()) == 0
    begun = step(0.4)
    assert float(begun.detach()) > 0
    assert reaches(network, begun)
    assert network.head.weight.grad is not None
    assert set(learned(nn.ModuleDict({"vos": term}))) == {"vos.log_weights", "vos.logistic.weight", "vos.logistic.bias"}
    for parameter in term.parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0


def test_released_energies_have_random_weights_and_no_gradient() -> None:
    logits = torch.tensor([[1.0, 3.0, -2.0], [-9.0, -9.0, -9.0]], requires_grad=True)
    weights = ((2 * torch.rand(3, generator=random(4)) - 1) / 3**0.5).relu().tolist()
    found = released_energies(logits, random(4))
    raw = math.log(sum(w * math.exp(z) for w, z in zip(weights, logits[0].tolist(), strict=True)))
    assert found.tolist() == pytest.approx([max(raw, -1), -1])
    assert not found.requires_grad


def test_released_trains_the_logistic_layer_alone() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    term = VirtualOutlierSynthesis(
        VirtualOutliers(queue=2, start=0, implementation="released"), network.head.in_features, 3
    )
    loss = term(batch_of(network, torch.tensor([0, 1, 2, 0, 1, 2])))["virtual_outliers"]
    loss.backward()
    assert float(loss.detach()) > 0
    assert all(p.grad is None for p in network.parameters())
    assert term.log_weights.grad is None
    assert term.logistic.weight.grad is not None


@pytest.mark.parametrize("seed", range(4))
def test_log_odds_rise_with_the_energy_from_the_start(seed: int) -> None:
    term = initialised(VirtualOutlierSynthesis(VirtualOutliers(), 5, 3), seed, "vos")
    logits = torch.tensor([[0.0, 0, 0], [9, 0, 0]])
    outputs = ForwardOutputs(torch.zeros(2, 3, 8, 8), torch.zeros(2, 5), logits, lambda inputs: inputs)
    low, high = term.readout(outputs).tolist()
    assert high - low == pytest.approx(math.log(math.exp(9) + 2) - math.log(3), rel=1e-5)

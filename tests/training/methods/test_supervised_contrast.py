"""SupCon and CIDER against loops over pairs."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.training.methods.supervised_contrast import (
    Cider,
    SupCon,
    SupervisedContrast,
    compactness,
    dispersion,
    followed,
    supcon,
)
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from toy_training import batch_of, normal, reaches

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
SETTINGS: list[SupCon | Cider] = [SupCon(kind="supcon", dimensions=6), Cider(kind="cider", dimensions=6)]


def points(count: int = 6, seed: int = 0) -> Tensor:
    return F.normalize(normal(count, 4, seed=seed)).detach()


def test_supcon_is_its_formula() -> None:
    """The only sample of class 2 has no positive."""
    found, given = [], points().tolist()
    for i in range(6):
        similar = {j: math.exp(math.fsum(map(math.prod, zip(given[i], given[j], strict=True))) / 0.3) for j in range(6)}
        positives = [j for j in range(6) if j != i and LABELS[j] == LABELS[i]]
        others = math.fsum(value for j, value in similar.items() if j != i)
        if positives:
            found.append(-math.fsum(math.log(similar[j] / others) for j in positives) / len(positives))
    assert len(found) == 5
    assert float(supcon(points(), LABELS, 0.3)) == pytest.approx(math.fsum(found) / 5, abs=1e-6)


def test_supcon_of_no_pairs_is_zero_with_a_gradient() -> None:
    given = normal(3, 4)
    loss = supcon(given, torch.tensor([0, 1, 2]), 0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.equal(given.grad, torch.zeros_like(given))


def test_gradients() -> None:
    given = normal(6, 4)
    assert torch.autograd.gradcheck(lambda x: supcon(F.normalize(x), LABELS, 0.3), given)
    held = points(3, seed=1).detach()
    assert torch.autograd.gradcheck(lambda x: compactness(F.normalize(x), held, LABELS, 0.3), given)
    assert torch.autograd.gradcheck(lambda x: dispersion(followed(held, F.normalize(x), LABELS, 0.4), 0.3), given)


def test_prototypes_follow_the_means_of_their_classes() -> None:
    held = points(4, seed=1).detach()
    moved = followed(held, points(), LABELS, 0.4)
    for label in range(3):
        towards = 0.4 * held[label] + 0.6 * points()[label == LABELS].mean(0)
        torch.testing.assert_close(moved[label], towards / towards.norm(), atol=1e-6, rtol=0)
    assert torch.equal(moved[3], held[3])  # no sample of class 3


def test_compactness_and_dispersion_are_their_formulas() -> None:
    held = points(3, seed=1).detach()
    near = [
        -math.log(
            math.exp(float(point @ held[label]) / 0.3) / sum(math.exp(float(point @ other) / 0.3) for other in held)
        )
        for point, label in zip(points(), LABELS, strict=True)
    ]
    assert float(compactness(points(), held, LABELS, 0.3)) == pytest.approx(sum(near) / 6, abs=1e-6)
    apart = [math.log(sum(math.exp(float(held[i] @ held[j]) / 0.3) for j in range(3) if j != i) / 2) for i in range(3)]
    assert float(dispersion(held, 0.3)) == pytest.approx(sum(apart) / 3, abs=1e-6)
    unknown = torch.cat([held, torch.zeros((2, 4), dtype=torch.float64)])
    assert float(dispersion(unknown, 0.3)) == pytest.approx(sum(apart) / 3, abs=1e-6)
    assert float(dispersion(unknown[2:], 0.3)) == 0


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_loss_reaches_the_network(settings: SupCon | Cider) -> None:
    """CIDER's dispersion through the prototypes, which keep what they learned."""
    torch.manual_seed(0)
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    term = SupervisedContrast(settings, network.head.in_features, 3)
    first: dict[str, Tensor] = term(batch_of(network, LABELS))
    assert set(first) == ({"supcon"} if settings.kind == "supcon" else {"cider_compactness", "cider_dispersion"})
    for name in first:
        losses: dict[str, Any] = term(batch_of(network, LABELS))
        assert reaches(network, losses[name])
    if settings.kind == "cider":
        kept = term.state_dict()["prototypes"]
        torch.testing.assert_close(kept.norm(dim=1), torch.ones(3))

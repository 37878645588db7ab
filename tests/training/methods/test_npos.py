"""NPOS: where outliers lie, the loss, when it begins, and what the released variant does instead."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.training.methods.npos import BoundarySynthesis, Npos, around, separation
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.terms.build import learned
from toy_training import batch_of, normal, random, reaches

SMALL = {
    "dimensions": 5,
    "queue": 12,
    "k": 3,
    "boundary_points": 4,
    "points_per_step": 2,
    "candidates": 30,
    "keep_per_point": 3,
}


def npos(**more: Any) -> Npos:
    return Npos.model_validate({"kind": "npos"} | SMALL | more)


def queues() -> Tensor:
    """Twelve points of each of two classes on the sphere, around opposite poles."""
    noise = 0.3 * torch.randn((2, 12, 5), generator=random())
    return F.normalize(noise + torch.tensor([1.0, -1.0])[:, None, None] * torch.eye(5)[0], dim=2)


def kth(point: Tensor, bank: Tensor, k: int) -> float:
    return sorted(math.dist(point.tolist(), other.tolist()) for other in bank)[k - 1]


def outermost(points: Tensor, count: int = 4) -> list[int]:
    return sorted(range(len(points)), key=lambda i: -kth(points[i], points, 4))[:count]  # itself counts


def test_outliers_lie_around_the_outermost_points() -> None:
    """With little noise, every outlier's nearest point is one of the four farthest out; both picks have three."""
    queue = queues()
    found = around(queue, npos(noise=0.01), random()).view(2, 2, 3, 5)
    torch.testing.assert_close(found.norm(dim=3), torch.ones(2, 2, 3))
    for label in range(2):
        parents = torch.cdist(found[label], queue[label].expand(2, -1, -1)).argmin(2)
        assert (parents == parents[:, :1]).all()
        assert set(parents[:, 0].tolist()) <= set(outermost(queue[label]))
        assert parents[0, 0] != parents[1, 0]


def test_every_outermost_point_has_its_turn() -> None:
    queue, seen = queues(), set()
    for seed in range(60):
        found = around(queue, npos(noise=0.01), random(seed)).view(2, 6, 5)
        seen |= set(torch.cdist(found[0], queue[0]).argmin(1).tolist())
    assert seen == set(outermost(queue[0]))


def test_kept_are_the_farthest_of_their_own_point() -> None:
    """The candidates by brute force from the same random numbers."""
    queue, settings = queues(), npos(noise=0.5)
    stream = random(3)
    noise = torch.randn((2, 2, 30, 5), generator=stream)
    expected = []
    for label in range(2):
        order = torch.randperm(4, generator=stream)[:2].tolist()
        for place, rank in enumerate(order):
            parent = queue[label][outermost(queue[label])[rank]]
            candidates = F.normalize(parent + 0.5 * noise[label, place], dim=1)
            distances = [kth(candidate, queue[label], 3) for candidate in candidates]
            best = sorted(range(30), key=lambda i: -distances[i])[:3]
            expected.append(candidates[best])
    torch.testing.assert_close(around(queue, settings, random(3)), torch.cat(expected))


def test_released_keeps_at_chance_and_leaves_the_sphere() -> None:
    queue, settings = queues(), npos(noise=0.5, candidates=200, keep_per_point=20, k=1)

    def ranks(variant: str) -> float:
        """Mean share of fresh candidates around the parents that lie nearer than what was kept."""
        shares = []
        for seed in range(20):
            found = around(queue, settings.model_copy(update={"implementation": variant}), random(seed)).view(2, 40, 5)
            for label in range(2):
                kept = torch.cdist(F.normalize(found[label], dim=1), queue[label]).amin(1)
                parents = queue[label][torch.tensor(outermost(queue[label]))]
                fresh = parents[:, None] + 0.5 * torch.randn((4, 200, 5), generator=random(100 + seed))
                nearest = torch.cdist(F.normalize(fresh, dim=2).flatten(0, 1), queue[label]).amin(1)
                shares.append(float((nearest < kept[:, None]).float().mean()))
        return sum(shares) / len(shares)

    assert ranks("correct") > 0.9
    assert 0.35 < ranks("released") < 0.65
    released = around(queue, settings.model_copy(update={"implementation": "released"}), random())
    assert released.norm(dim=1).mean() > 1.2


def test_loss_is_its_formula() -> None:
    known, outliers = normal(4), normal(3, seed=1)
    own = [math.log(1 + math.exp(-value)) for value in known.tolist()]
    theirs = [math.log(1 + math.exp(value)) for value in outliers.tolist()]
    apart, pooled = separation(known, outliers), separation(known, outliers, pooled=True)
    assert float(apart.detach()) == pytest.approx(sum(own) / 4 + sum(theirs) / 3, abs=1e-6)
    assert float(pooled.detach()) == pytest.approx((sum(own) + sum(theirs)) / 7, abs=1e-6)
    for flag in (False, True):
        assert torch.autograd.gradcheck(lambda a, b, flag=flag: separation(a, b, flag), (known, outliers))


@pytest.mark.parametrize("variant", ["correct", "released"])
def test_the_loss_begins_once_queues_are_full_and_reaches_the_network(variant: str) -> None:
    torch.manual_seed(0)
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    more = {"queue": 4, "k": 2, "boundary_points": 3, "start": 0.4, "outlier_weight": 1.0, "implementation": variant}
    term = BoundarySynthesis(npos(**more), network.head.in_features, 3)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])

    def step(progress: float) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = term(batch_of(network, labels, progress=progress))
        return losses

    assert set(step(0.9)) == {"cider_compactness", "cider_dispersion", "npos"}
    assert float(step(0.3)["npos"].detach()) == 0  # two batches of two, but too early
    begun = step(0.4)["npos"]
    assert float(begun.detach()) > 0
    assert reaches(network, begun)
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in term.logistic.parameters())
    kept = set(learned(nn.ModuleDict({"contrastive": term})))
    assert {"contrastive.prototypes", "contrastive.projection.0.weight", "contrastive.logistic.2.bias"} <= kept
    assert not {"contrastive.queue", "contrastive.seen"} & kept


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"k": 12}, "k 12 against queue 12"),
        ({"boundary_points": 13}, "boundary_points 13 against queue 12"),
        ({"points_per_step": 5}, "points_per_step 5 against boundary_points 4"),
        ({"keep_per_point": 31}, "keep_per_point 31 against candidates 30"),
    ],
)
def test_more_than_there_is_is_refused(more: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        npos(**more)

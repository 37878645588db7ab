"""Boundary outliers: exact k-th distances, and a selection that does what the papers' code fails to do."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.outliers.boundary import boundary_outliers, chosen, kth_distance
from synthood.outliers.settings import BoundarySettings


@pytest.fixture(scope="module")
def embedded() -> tuple[Tensor, Tensor]:
    """Two classes of unit embeddings around two directions in 32 dimensions."""
    random = torch.Generator().manual_seed(0)
    centres = torch.eye(32)[:2].repeat_interleave(60, 0)
    return F.normalize(centres + 0.15 * torch.randn(120, 32, generator=random)), torch.arange(2).repeat_interleave(60)


def settings(**changes: object) -> BoundarySettings:
    return BoundarySettings.model_validate({"k": 5, "boundary_points": 20, "candidates": 400, "kept": 2} | changes)


def test_kth_distance_equals_brute_force() -> None:
    random = torch.Generator().manual_seed(1)
    queries, bank = torch.randn(7, 4, generator=random), torch.randn(9, 4, generator=random)
    for k in (1, 3, 9):
        expected = [sorted(float((q - b).norm()) for b in bank)[k - 1] for q in queries]
        torch.testing.assert_close(kth_distance(queries, bank, k), torch.tensor(expected))


@pytest.mark.parametrize(
    ("selection", "low", "high"), [("knn", 0.99, 1.0), ("random", 0.48, 0.52), ("released", 0.35, 0.65)]
)
def test_percentile_among_a_points_own_candidates(
    embedded: tuple[Tensor, Tensor], selection: str, low: float, high: float
) -> None:
    """Chance is 0.5; the released reshape compares candidates of different points and lands there."""
    many = settings(selection=selection, kept=2 if selection != "random" else 40)
    found = boundary_outliers(*embedded, many)
    assert low <= float(found.among_candidates.mean()) <= high


def test_outliers_are_unit_and_belong_to_the_outermost_points_of_their_class(embedded: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = embedded
    found = boundary_outliers(embeddings, labels, settings())
    assert found.embeddings.shape == (2 * 20 * 2, 32)
    torch.testing.assert_close(found.embeddings.norm(dim=1), torch.ones(80))
    assert torch.equal(found.labels, labels[found.parents])
    for label in (0, 1):
        points = embeddings[labels == label]
        own = kth_distance(points, points, 6)
        parents = found.parents[found.labels == label].unique() - 60 * label
        assert float(own[parents].min()) >= float(own.sort(descending=True).values[19])
        mine = found.embeddings[found.labels == label]
        torch.testing.assert_close(found.distances[found.labels == label], kth_distance(mine, points, 5))


def test_meaning_among_id_embeddings_is_reported(embedded: tuple[Tensor, Tensor]) -> None:
    far = boundary_outliers(*embedded, settings(noise=1.0))
    near = boundary_outliers(*embedded, settings(noise=0.001))
    assert float(far.among_id.min()) == 1.0
    assert float(near.among_id.mean()) < 1.0


def test_released_selection_is_the_shuffled_one() -> None:
    """Candidate j of point i sits at i * M + j; read as [M,P], column p holds candidates of several points."""
    distances = torch.arange(6.0).view(2, 3)
    kept = chosen(distances, settings(selection="released", kept=1), torch.Generator())
    assert kept.tolist() == [[2], [2]]
    distances = torch.tensor([[9.0, 0.0, 1.0], [2.0, 3.0, 4.0]])
    assert chosen(distances, settings(selection="released", kept=1), torch.Generator()).tolist() == [[0], [2]]
    assert chosen(distances, settings(kept=1), torch.Generator()).tolist() == [[0], [2]]


def test_same_seed_same_outliers(embedded: tuple[Tensor, Tensor]) -> None:
    one, two, other = (boundary_outliers(*embedded, settings(seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(one.embeddings, two.embeddings)
    assert not torch.equal(one.embeddings, other.embeddings)


def test_a_class_too_small_or_broken_embeddings_are_told(embedded: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = embedded
    with pytest.raises(SynthoodError, match=r"class 0 has 60 embeddings; boundary\.k \(60\)"):
        boundary_outliers(embeddings, labels, settings(k=60))
    with pytest.raises(SynthoodError, match=r"boundary_points \(61\)"):
        boundary_outliers(embeddings, labels, settings(boundary_points=61))
    broken = embeddings.clone()
    broken[17, 3] = float("nan")
    with pytest.raises(SynthoodError, match="embedding 17 is not finite"):
        boundary_outliers(broken, labels, settings())

"""Boundary outliers: exact k-th distances, and a selection that does what the papers' code fails to do."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from synthood.common.neighbours import chosen, kth_distance
from synthood.common.seeds import generator
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.outliers import boundary
from synthood.outliers.boundary import boundary_outliers, candidate_distances
from synthood.outliers.boundary_settings import BoundarySettings


@pytest.fixture(scope="module")
def embedded() -> tuple[Tensor, Tensor]:
    """Two classes of unit embeddings around two directions in 32 dimensions."""
    random = torch.Generator().manual_seed(0)
    centres = torch.eye(32)[:2].repeat_interleave(60, 0)
    return F.normalize(centres + 0.15 * torch.randn(120, 32, generator=random)), torch.arange(2).repeat_interleave(60)


def settings(**changes: object) -> BoundarySettings:
    return BoundarySettings.model_validate(
        {"k": 5, "boundary_points": 20, "candidates": 400, "keep_per_point": 2} | changes
    )


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
    many = settings(selection=selection, keep_per_point=2 if selection != "random" else 40)
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
    kept = chosen(distances, 1, "released", torch.Generator())
    assert kept.tolist() == [[2], [2]]
    distances = torch.tensor([[9.0, 0.0, 1.0], [2.0, 3.0, 4.0]])
    assert chosen(distances, 1, "released", torch.Generator()).tolist() == [[0], [2]]
    assert chosen(distances, 1, "knn", torch.Generator()).tolist() == [[0], [2]]


def test_same_seed_same_outliers(embedded: tuple[Tensor, Tensor]) -> None:
    one, two, other = (boundary_outliers(*embedded, settings(seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(one.embeddings, two.embeddings)
    assert not torch.equal(one.embeddings, other.embeddings)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("selection", ["knn", "released"])
def test_chosen_candidates_are_those_of_brute_force(
    embedded: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, shared: bool, selection: str
) -> None:
    """Every candidate made, every distance sorted, in double precision; chunks of a few rows."""
    monkeypatch.setattr(boundary, "SUMS_AT_ONCE", 7 * 60)
    embeddings, labels = embedded
    asked = settings(
        shared_noise=shared, selection=selection, boundary_points=6, candidates=50, keep_per_point=3, noise=0.2
    )
    found = boundary_outliers(embeddings, labels, asked)
    for label in (0, 1):
        random = generator(asked.seed, "boundary", label)
        points = embeddings[labels == label].double()
        outermost = torch.cdist(points, points).sort(1).values[:, 5].sort(descending=True).indices[:6]
        noise = torch.randn((50, 32) if shared else (6, 50, 32), generator=random).double()
        candidates = F.normalize(points[outermost][:, None] + 0.2 * noise, dim=2)
        distances = torch.stack([torch.cdist(own, points).sort(1).values[:, 4] for own in candidates])
        if selection == "knn":
            kept = distances.sort(1, descending=True).indices[:, :3]
        else:
            kept = distances.reshape(50, 6).sort(0, descending=True).indices[:3].T
        expected = candidates.gather(1, kept[:, :, None].expand(-1, -1, 32)).flatten(0, 1)
        mine = found.labels == label
        torch.testing.assert_close(found.embeddings[mine], expected.float(), atol=1e-6, rtol=0)
        assert found.parents[mine].tolist() == (outermost + 60 * label).repeat_interleave(3).tolist()


@given(st.integers(0, 10_000), st.integers(1, 12), st.booleans())
def test_distances_of_candidates_that_are_never_made(seed: int, k: int, shared: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    bank = F.normalize(torch.randn((12, 6), generator=random))
    noise = torch.randn((9, 6) if shared else (3, 9, 6), generator=random)
    made = F.normalize(bank[:3, None] + 0.5 * noise, dim=2)
    expected = kth_distance(made.flatten(0, 1).double(), bank.double(), k).view(3, 9).float()
    torch.testing.assert_close(candidate_distances(bank[:3], noise, bank, 0.5, k), expected, atol=2e-3, rtol=1e-4)


def test_rounds_draw_anew_and_add_up(embedded: tuple[Tensor, Tensor]) -> None:
    """The first round of two is the only one of one; each takes other boundary points."""
    one = boundary_outliers(*embedded, settings(shared_noise=True, points_per_round=5))
    two = boundary_outliers(*embedded, settings(shared_noise=True, points_per_round=5, rounds=2))
    assert len(two.labels) == 2 * len(one.labels) == 2 * 2 * 5 * 2
    first = one.embeddings[one.labels == 0]
    assert torch.equal(two.embeddings[two.labels == 0][:10], first)
    assert not torch.equal(two.embeddings[two.labels == 0][10:], first)
    assert set(two.parents[:10].tolist()) != set(two.parents[10:20].tolist())
    everyone = boundary_outliers(*embedded, settings())
    assert set(two.parents.tolist()) <= set(everyone.parents.tolist())


def test_so_many_embeddings_of_each_class_by_the_seed(embedded: tuple[Tensor, Tensor]) -> None:
    """Neighbours outside the drawn ones play no part: alone in the class, they give the same outliers."""
    embeddings, labels = embedded
    asked = settings(per_class=30, boundary_points=30)
    found = boundary_outliers(embeddings, labels, asked)
    drawn = found.parents.unique()
    assert torch.bincount(labels[drawn]).tolist() == [30, 30]
    alone = boundary_outliers(embeddings[drawn], labels[drawn], settings(boundary_points=30))
    torch.testing.assert_close(found.embeddings, alone.embeddings)
    other = boundary_outliers(embeddings, labels, asked.model_copy(update={"seed": 1}))
    assert set(other.parents.tolist()) != set(drawn.tolist())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep_per_point": 401}, "keep_per_point 401 must not be above candidates 400"),
        ({"points_per_round": 21}, "points_per_round 21 must not be above boundary_points 20"),
        ({"per_class": 10}, "boundary_points 20 must not be above per_class 10"),
        ({"per_class": 20, "k": 20}, "k 20 must be below per_class 20"),
    ],
)
def test_settings_that_leave_nothing_to_choose_are_told(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**changes)


def test_a_class_too_small_or_broken_embeddings_are_told(embedded: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = embedded
    with pytest.raises(SynthoodError, match=r"class 0 has 60 embeddings; boundary\.k \(60\)"):
        boundary_outliers(embeddings, labels, settings(k=60))
    with pytest.raises(SynthoodError, match=r"boundary_points \(61\)"):
        boundary_outliers(embeddings, labels, settings(boundary_points=61))
    with pytest.raises(SynthoodError, match=r"class 1 has 1 embeddings; boundary\.k \(1\)"):
        boundary_outliers(embeddings[:61], labels[:61], settings(k=1, boundary_points=1))
    broken = embeddings.clone()
    broken[17, 3] = float("nan")
    with pytest.raises(SynthoodError, match="embedding 17 is not finite"):
        boundary_outliers(broken, labels, settings())
    with pytest.raises(SynthoodError, match="embedding 0 has length 2, but embeddings must have length 1"):
        boundary_outliers(2 * embeddings, labels, settings())
    equal = embeddings.clone()
    equal[60:] = equal[60]
    with pytest.raises(SynthoodError, match="all 60 embeddings of class 1 are equal"):
        boundary_outliers(equal, labels, settings())


def test_the_stage_passes_the_space_on(embedded: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    embeddings, labels = embedded
    header = {"classes": ["cat", "dog"], "space": {"encoder": "timm", "anchors": "token", "text_encoder": "f00d"}}
    write_tensors(tmp_path / "embeddings", {"embeddings": embeddings.numpy(), "labels": labels.numpy()}, header)
    asked = settings(rounds=2, shared_noise=True)
    places = ["--embeddings", str(tmp_path / "embeddings"), "--output", str(tmp_path / "boundary")]
    boundary.main(["--settings", asked.canonical(), *places])
    arrays, found = read_tensors(tmp_path / "boundary")
    assert found == header
    expected = boundary_outliers(embeddings, labels, asked)
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(arrays[name], values.numpy(), err_msg=name)

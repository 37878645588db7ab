"""Scores of a bank by brute force, one distance at a time."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.evaluation.detectors import neighbours
from synthood.evaluation.features import Features, Reference
from toy_features import WIDTH, chosen, with_features


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven samples at once against the bank of 400."""
    monkeypatch.setattr(neighbours, "CHUNK", 400 * 7)


def squared_distances(x: Features, bank: Features) -> torch.Tensor:
    a, b = (F.normalize(y.features.double()) for y in (x, bank))
    return (a[:, None] - b[None]).square().sum(2)


@pytest.mark.parametrize("k", [1, 3, 400])
def test_knn_by_brute_force(k: int, reference: Reference, near: Features, chunks: None) -> None:
    expected = -squared_distances(near, reference.train).sort(1).values[:, k - 1]
    found = neighbours.knn(reference, k)(near)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def test_knn_of_the_bank_itself_is_zero(reference: Reference) -> None:
    found = neighbours.knn(reference, 1)(reference.train)
    assert found.max() <= 0
    assert found.min() > -1e-5


def test_knn_of_a_sample_without_direction_is_the_distance_to_the_origin(reference: Reference) -> None:
    assert neighbours.knn(reference, 5)(with_features(torch.zeros(2, WIDTH), reference)).tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("factor", [0.25, 16.0])
def test_knn_looks_at_directions_alone(factor: float, reference: Reference, near: Features) -> None:
    longer = Features(near.logits, near.features * factor, near.labels)
    method = neighbours.knn(reference, 5)
    torch.testing.assert_close(method(longer), method(near), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("k", "share"), [(1, 1.0), (7, 1.0), (7, 0.25)])
def test_nnguide_by_brute_force(k: int, share: float, reference: Reference, near: Features, chunks: None) -> None:
    bank = chosen(reference.train, torch.arange(0, 400, round(1 / share)))
    cosines = 1 - squared_distances(near, bank) / 2
    scaled = (cosines * bank.logits.double().logsumexp(1)).sort(1, descending=True).values[:, :k]
    expected = scaled.mean(1) * near.logits.double().logsumexp(1)
    found = neighbours.nnguide(reference, k, share)(near)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("power", "threshold"), [(1.0, 0.03), (2.0, 0.3), (4.0, 0.0)])
def test_relation_by_brute_force(
    power: float, threshold: float, reference: Reference, near: Features, chunks: None
) -> None:
    cosines = (1 - squared_distances(near, reference.train) / 2).clamp(min=0)
    edges = cosines * (near.logits.double().softmax(1) @ reference.train.logits.double().softmax(1).T)
    expected = torch.where(edges > threshold, edges**power, 0.0).sum(1)
    found = neighbours.relation(reference, power, threshold)(near)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_relation_leaves_opposite_directions_out(reference: Reference) -> None:
    """Negative features, as a network without a last ReLU has them."""
    opposite = with_features(-reference.train.features[:5] - 0.1, reference)
    assert neighbours.relation(reference, 1.0, 0.0)(opposite).tolist() == [0.0] * 5


@pytest.mark.parametrize(("share", "fraction"), [(1.0, 0.01), (1.0, 0.2), (0.25, 0.05)])
def test_cfood_by_brute_force(share: float, fraction: float, reference: Reference, near: Features) -> None:
    """For every neighbourhood in turn: which share of the bank has the sample among its nearest."""
    bank = chosen(reference.train, torch.arange(0, 400, round(1 / share)))
    count = len(bank.labels)
    own = squared_distances(bank, bank).sort(1).values
    distances = squared_distances(near, bank)
    expected = torch.ones(len(near), dtype=torch.float64)
    for q in neighbours.SHARES.flip(0):
        rank = min(max(1, int(q * count)), count - 1)
        taken_in = (own[:, rank] >= distances - 1e-7).double().mean(1)
        expected[taken_in >= fraction - 1e-9] = q
    found = neighbours.cfood(reference, share, fraction)(near).double()
    assert ((found + expected).abs() > 2e-3).double().mean() < 0.01


@pytest.mark.parametrize(("share", "rows"), [(1.0, 10), (0.5, 5), (0.34, 3), (0.01, 1)])
def test_the_bank_is_spread_evenly(share: float, rows: int) -> None:
    values = torch.arange(10)
    found = neighbours.spread(values, share)
    assert len(found) == rows
    assert found[0] == 0
    assert len(found.diff()) == 0 or found.diff().max() - found.diff().min() <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 999), st.booleans())
def test_the_largest_are_those_of_topk(count: int, k: int, seed: int, ties: bool) -> None:
    k = min(k, count)
    values = torch.randn((3, count), generator=torch.Generator().manual_seed(seed))
    values = values.round() if ties else values
    assert torch.equal(neighbours.largest(values, k), values.topk(k).values)

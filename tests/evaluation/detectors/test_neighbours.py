"""Scores of a bank by brute force, one distance at a time."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.evaluation import scoring
from synthood.evaluation.detectors import neighbours
from synthood.evaluation.detectors.neighbours import Cfood, Knn, NnGuide, Relation
from synthood.evaluation.features import Bank, Features, Reference
from toy_features import WIDTH, chosen, part, toy_reference, with_features

THIRDS = [slice(0, 3), slice(3, 6), slice(6, 9)]


@pytest.fixture(params=[None, 0, 1 << 20], ids=["whole", "streamed", "pieces"])
def pieced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Reference:
    """Scored seven samples at once, against a bank of 400 in one piece, in pieces of 37, or in those made anew."""
    monkeypatch.setattr(scoring, "CHUNK", 37 * 7)
    monkeypatch.setattr(scoring, "STREAMED", 1)
    toy = toy_reference()
    if request.param is not None:
        vars(toy)["bank"] = Bank(toy.train.features, rows=37, in_memory_bytes=request.param)
    return toy


def squared_distances(x: Features, bank: Features) -> torch.Tensor:
    a, b = (F.normalize(y.features.double()) for y in (x, bank))
    return (a[:, None] - b[None]).square().sum(2)


@pytest.mark.parametrize("k", [1, 3, 400])
def test_knn_by_brute_force(k: int, pieced: Reference, near: Features) -> None:
    expected = -squared_distances(near, pieced.train).sort(1).values[:, k - 1]
    found = Knn(k=k).fit(pieced)(near)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def test_knn_of_the_bank_itself_is_zero(pieced: Reference) -> None:
    found = Knn(k=1).fit(pieced)(pieced.train)
    assert found.max() <= 0
    assert found.min() > -1e-5


def test_knn_of_a_sample_without_direction_is_the_distance_to_the_origin(pieced: Reference) -> None:
    assert Knn(k=5).fit(pieced)(with_features(torch.zeros(2, WIDTH), pieced)).tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("factor", [0.25, 16.0])
def test_knn_looks_at_directions_alone(factor: float, pieced: Reference, near: Features) -> None:
    longer = Features(near.logits, near.features * factor, near.labels)
    method = Knn(k=5).fit(pieced)
    torch.testing.assert_close(method(longer), method(near), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("k", "share"), [(1, 1.0), (7, 1.0), (7, 0.25)])
def test_nnguide_by_brute_force(k: int, share: float, pieced: Reference, near: Features) -> None:
    bank = chosen(pieced.train, torch.arange(0, 400, round(1 / share)))
    cosines = 1 - squared_distances(near, bank) / 2
    scaled = (cosines * bank.logits.double().logsumexp(1)).sort(1, descending=True).values[:, :k]
    expected = scaled.mean(1) * near.logits.double().logsumexp(1)
    found = NnGuide(k=k, share=share).fit(pieced)(near)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("power", "threshold"), [(1.0, 0.03), (2.0, 0.3), (4.0, 0.0)])
def test_relation_by_brute_force(power: float, threshold: float, pieced: Reference, near: Features) -> None:
    cosines = (1 - squared_distances(near, pieced.train) / 2).clamp(min=0)
    edges = cosines * (near.logits.double().softmax(1) @ pieced.train.logits.double().softmax(1).T)
    expected = torch.where(edges > threshold, edges**power, 0.0).sum(1)
    found = Relation(power=power, threshold=threshold).fit(pieced)(near)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_relation_leaves_opposite_directions_out(pieced: Reference) -> None:
    """Negative features, as a network without a last ReLU has them."""
    opposite = with_features(-pieced.train.features[:5] - 0.1, pieced)
    assert Relation(power=1.0, threshold=0.0).fit(pieced)(opposite).tolist() == [0.0] * 5


def brute_force(distances: torch.Tensor, own: torch.Tensor, fraction: float) -> torch.Tensor:
    """The smallest share, of distances [N,M] to the bank and its own [M,M] in order."""
    count, expected = len(own), torch.ones(len(distances), dtype=torch.float64)
    for q in neighbours.shares_tried().flip(0):
        rank = min(max(1, int(q * count)), count - 1)
        taken_in = (own[:, rank] >= distances * (1 - 1e-7)).double().mean(1)
        expected[taken_in >= fraction - 1e-9] = q
    return expected


@pytest.mark.parametrize(("share", "fraction"), [(1.0, 0.01), (1.0, 0.2), (0.25, 0.05)])
def test_cfood_by_brute_force(share: float, fraction: float, pieced: Reference, near: Features) -> None:
    """For every neighbourhood in turn: which share of the bank has the sample among its nearest."""
    bank = chosen(pieced.train, torch.arange(0, 400, round(1 / share)))
    expected = brute_force(squared_distances(near, bank), squared_distances(bank, bank).sort(1).values, fraction)
    found = Cfood(share=share, fraction=fraction).fit(pieced)(near).double()
    assert ((found + expected).abs() > 2e-3).double().mean() < 0.01


@pytest.mark.parametrize(("share", "rows"), [(1.0, 10), (0.5, 5), (0.34, 3), (0.01, 1)])
def test_the_chosen_of_a_bank_are_spread_evenly(share: float, rows: int) -> None:
    chosen = neighbours.Chosen(10, share)
    found = chosen.index
    assert len(chosen) == len(found) == rows
    assert found[0] == 0
    assert len(found.diff()) == 0 or found.diff().max() - found.diff().min() <= 1
    assert [chosen.of(torch.arange(3)[None] + place.start, place)[0].tolist()[0] for place in THIRDS] == [
        [i for i in range(place.start, place.stop) if i in found] for place in THIRDS
    ]


def test_a_small_bank_is_kept_and_a_large_one_is_not(pieced: Reference) -> None:
    """Both give the same points, piece by piece."""
    features, near = pieced.train.features, pieced.val.features
    assert Bank(features).in_memory is not None
    streamed = Bank(features, rows=150, in_memory_bytes=features.nbytes - 1)
    assert streamed.in_memory is None
    assert [place.stop - place.start for place, _ in streamed.pieces()] == [150, 150, 100]
    points = torch.cat([piece for _, piece in streamed.pieces()])
    assert torch.equal(points, Bank(features).in_memory)
    cosines = F.normalize(near.double()) @ F.normalize(features.double()).T
    torch.testing.assert_close((streamed.queries(near) @ points.T).double(), cosines - 1, rtol=0, atol=1e-6)


def shifted(x: Features, by: float) -> Features:
    return Features(x.logits, x.features + by, x.labels)


def test_neighbours_of_features_with_much_in_common() -> None:
    """Cosines that single precision rounds to one: squared distances of 1e-6."""
    toy = toy_reference()
    train, test = (shifted(x, 1000.0) for x in (toy.train, part(50, 7, toy.weight, toy.bias)))
    common = Reference(train, train, toy.weight, toy.bias)
    squared = squared_distances(test, train)
    assert squared.median() < 2e-6
    expected = -squared.sort(1).values[:, 4]
    torch.testing.assert_close(Knn(k=5).fit(common)(test).double(), expected, rtol=2e-3, atol=0)
    own = squared_distances(train, train).sort(1).values
    found = Cfood(share=1.0, fraction=0.2).fit(common)(test).double()
    assert brute_force(squared, own, 0.2).sub(-found).abs().gt(2e-3).double().mean() < 0.05


def test_cfood_leaves_out_what_has_no_direction(near: Features) -> None:
    """A row of zeros is as far from any sample, so that alone it would take in all of them at the first share."""
    toy = toy_reference()
    features = toy.train.features.clone()
    features[:8] = 0.0
    broken = Reference(replace(toy.train, features=features), toy.val, toy.weight, toy.bias)
    found = Cfood(share=1.0, fraction=0.02).fit(broken)(near)
    assert len(found.unique()) > 20
    own, squared = squared_distances(broken.train, broken.train).sort(1).values, squared_distances(near, broken.train)
    own[:8] = -1.0
    expected = brute_force(squared, own, 0.02)
    assert ((found.double() + expected).abs() > 2e-3).double().mean() < 0.01


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 999), st.booleans())
def test_the_largest_are_those_of_topk(count: int, k: int, seed: int, ties: bool) -> None:
    k = min(k, count)
    values = torch.randn((3, count), generator=torch.Generator().manual_seed(seed))
    values = values.round() if ties else values
    assert torch.equal(neighbours.largest_yet(None, values, k), values.topk(k).values)

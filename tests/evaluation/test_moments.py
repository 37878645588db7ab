"""Moments of a bank: numpy's, in any pieces, with what hardly varies kept."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.evaluation import moments
from synthood.evaluation.moments import Moments, add_products, by_pieces, mirrored, pieces, pseudo_whitening


def drawn(count: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features far from zero, and labels of which 1 and 3 have none."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 2, 4])[torch.randint(3, (count,), generator=random)]
    return 100 + torch.randn((count, width), generator=random) + labels[:, None], labels


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 60), st.integers(1, 9), st.integers(0, 99))
def test_means_and_covariances_are_numpys(count: int, width: int, seed: int) -> None:
    features, labels = drawn(count, width, seed)
    found, values = Moments(features, labels), features.double().numpy()
    means = {int(c): values[labels.numpy() == c].mean(0) for c in found.classes}
    assert found.classes.tolist() == sorted(means)
    assert found.means.numpy() == pytest.approx(np.stack([means[int(c)] for c in found.classes]))
    assert found.mean.numpy() == pytest.approx(values.mean(0))
    centred = values - np.stack([means[int(c)] for c in labels])
    assert found.within.numpy() == pytest.approx(centred.T @ centred / count, abs=1e-9)
    assert found.total.numpy() == pytest.approx(np.cov(values.T, ddof=0).reshape(width, width), abs=1e-9)


def test_principal_axes_are_the_eigenvectors_of_the_second_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "ROWS", 64)
    random = torch.Generator().manual_seed(0)
    scales = torch.tensor([30.0, 10.0, 1.0, 0.1, 0.0])
    turned = torch.linalg.qr(torch.randn((5, 5), generator=random)).Q
    features = (100 + torch.randn((200, 5), generator=random) * scales) @ turned
    origin = torch.arange(5.0, dtype=torch.float64)
    found = moments.principal_axes(features, origin)
    away = features.double() - origin
    expected = torch.linalg.eigh(away.T @ away / 200).eigenvectors
    torch.testing.assert_close((found.T @ expected).abs(), torch.eye(5, dtype=torch.float64), atol=1e-4, rtol=0)


def test_pieces_change_rounding_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = drawn(50, 6)
    whole = Moments(features, labels).total
    monkeypatch.setattr(moments, "ROWS", 7)
    assert len(list(pieces(features))) == 8
    torch.testing.assert_close(Moments(features, labels).total, whole, rtol=1e-12, atol=1e-12)


def test_results_by_pieces_stand_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "ROWS", 3)
    values = torch.arange(14.0).view(7, 2)
    assert torch.equal(
        by_pieces(lambda place, rows: rows.sum(1) + place.start, values), torch.tensor([1.0, 5, 9, 16, 20, 24, 31])
    )
    assert torch.equal(by_pieces(lambda _, rows: rows.double() * 2, values), values.double() * 2)


@pytest.mark.parametrize("width", [1, 7, 8, 21])
def test_products_by_strips_are_the_product(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "STRIP", 2)
    rows = torch.randn((5, width), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sums = torch.ones((width, width), dtype=torch.float64)
    add_products(sums, rows)
    torch.testing.assert_close(mirrored(sums), 1 + rows.T @ rows)


def test_a_direction_that_hardly_varies_keeps_its_variance() -> None:
    """Ten thousand from zero, by a hundredth: raw squares in single precision would know nothing of it."""
    features = torch.full((4, 1), 1e4)
    features[:2] += 2**-7
    assert Moments(features, torch.zeros(4, dtype=torch.int64)).within.item() == pytest.approx(2**-16, rel=1e-12)


def test_pseudo_whitening_squares_to_pinvh() -> None:
    factor = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    covariance = factor @ factor.T
    whitening = pseudo_whitening(*torch.linalg.eigh(covariance))
    expected = torch.from_numpy(scipy.linalg.pinvh(covariance.numpy()))
    torch.testing.assert_close(whitening @ whitening.T, expected, rtol=1e-8, atol=1e-8)

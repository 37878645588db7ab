"""Gaussian distances against explicit inverses and scipy's densities."""

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, spearmanr

from synthood.errors import SynthoodError
from synthood.evaluation.detectors import distances
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.distances import Gmm, Mds, Rmds
from synthood.evaluation.features import Features, Reference
from toy_features import CLASSES, chosen


def mahalanobis(train: Features, x: Features) -> torch.Tensor:
    """The formula, with scipy's pseudo-inverse of the tied covariance."""
    features, wanted = train.features.double(), x.features.double()
    means = {int(c): features[train.labels == c].mean(0) for c in train.labels.unique()}
    centred = features - torch.stack([means[int(c)] for c in train.labels])
    inverse = torch.from_numpy(scipy.linalg.pinvh((centred.T @ centred / len(features)).numpy()))
    each = [((wanted - mean) @ inverse * (wanted - mean)).sum(1) for mean in means.values()]
    return -torch.stack(each).amin(0)


def background(train: Features, x: Features) -> torch.Tensor:
    """Squared distance to the mean of all, with the covariance of all."""
    one = Features(train.logits, train.features, torch.zeros_like(train.labels))
    return -mahalanobis(one, x)


def degenerate(x: Features) -> Features:
    """A unit that is dead, and one that repeats another: two null directions."""
    features = x.features.clone()
    features[:, 3] = 0.0
    features[:, 5] = features[:, 4]
    return Features(x.logits, features, x.labels)


@pytest.mark.parametrize("broken", [False, True])
def test_mds_and_rmds_by_their_formulas(broken: bool, reference: Reference, near: Features) -> None:
    train, x = (degenerate(y) if broken else y for y in (reference.train, near))
    fitted = Reference(train, reference.val, reference.weight, reference.bias)
    found = Mds().fit(fitted)(x).double()
    torch.testing.assert_close(found, mahalanobis(train, x), rtol=1e-4, atol=1e-4)
    relative = Rmds().fit(fitted)(x).double()
    torch.testing.assert_close(relative, background(train, x) + mahalanobis(train, x), rtol=1e-4, atol=1e-4)
    assert found.min() > -1e4  # a plain inverse would blow the null directions up


def test_mds_with_a_class_missing_from_training(reference: Reference, near: Features) -> None:
    """Labels 0, 2 and 3: means are found by label, not by position."""
    kept = chosen(reference.train, (reference.train.labels != 1).nonzero()[:, 0])
    found = Mds().fit(Reference(kept, reference.val, reference.weight, reference.bias))(near)
    torch.testing.assert_close(found.double(), mahalanobis(kept, near), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("detector", [Mds(), Rmds()], ids=lambda one: one.kind)
def test_distances_do_not_know_the_units_scales(detector: Detector, reference: Reference, near: Features) -> None:
    """Any invertible map of the features leaves them, here scales and a rotation."""
    random = torch.Generator().manual_seed(0)
    rotation, _ = torch.linalg.qr(torch.randn((12, 12), generator=random))
    change = torch.linspace(0.5, 2.0, 12)[:, None] * rotation

    def mapped(x: Features) -> Features:
        return Features(x.logits, x.features @ change, x.labels)

    other = Reference(mapped(reference.train), mapped(reference.val), reference.weight, reference.bias)
    torch.testing.assert_close(detector.fit(other)(mapped(near)), detector.fit(reference)(near), rtol=1e-3, atol=1e-3)


def test_gmm_is_scipys_density_on_principal_components(reference: Reference, near: Features) -> None:
    train, ridge = reference.train.features.double().numpy(), 0.01
    mean = train.mean(0)
    _, _, axes = np.linalg.svd(train - mean, full_matrices=False)
    z, x = (train - mean) @ axes[:5].T, (near.features.double().numpy() - mean) @ axes[:5].T
    labels, floor = reference.train.labels.numpy(), ridge * z.var(0).mean() * np.eye(5)
    parts = []
    for k in range(CLASSES):
        own = z[labels == k]
        density = multivariate_normal(own.mean(0), np.cov(own.T, ddof=0) + floor)
        parts.append(np.log((labels == k).mean()) + density.logpdf(x))
    found = Gmm(dimension=5, ridge=ridge).fit(reference)(near)
    assert found.numpy() == pytest.approx(logsumexp(parts, axis=0), rel=1e-4)


def spread(count: int, seed: int, deviations: torch.Tensor, rotation: torch.Tensor) -> Features:
    """Two classes; units that mix directions of very different deviations, in single precision."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    noise = torch.randn((count, len(deviations)), generator=random, dtype=torch.float64) * deviations
    features = 3 + (noise + labels[:, None] * deviations) @ rotation
    return Features(torch.zeros(count, 2), features.float(), labels)


@pytest.mark.parametrize(("least", "single"), [(1e-3, True), (1e-5, False)])
def test_directions_that_hardly_vary_keep_the_order(least: float, single: bool) -> None:
    """Deviations over three and over five powers of ten: the latter take double precision."""
    width = 24
    rotation = torch.linalg.qr(
        torch.randn((width, width), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ).Q
    deviations = torch.logspace(0, float(np.log10(least)), width, dtype=torch.float64)
    train, x = (spread(count, seed, deviations, rotation) for count, seed in ((2000, 1), (500, 2)))
    reference = Reference(train, train, torch.zeros(2, width), torch.zeros(2))
    dtype = distances.ClassDistance(distances.class_distances(reference.moments)).whitened.whitening.dtype
    assert dtype == (torch.float32 if single else torch.float64)
    found = Mds().fit(reference)(x).double()
    torch.testing.assert_close(found, mahalanobis(train, x), rtol=2e-3, atol=1e-2)
    assert spearmanr(found, mahalanobis(train, x)).statistic >= 0.9999


@pytest.mark.parametrize("away", [0.0, 3.0])
@pytest.mark.parametrize("stretch", [1.0, 1e6], ids=["single", "double"])
@pytest.mark.parametrize(("width", "rank"), [(5, 5), (300, 300), (300, 130)])
def test_a_whitened_length_is_that_of_the_whole_product(width: int, rank: int, stretch: float, away: float) -> None:
    """Though half of the product is left out; null directions count for nothing, in either precision."""
    random = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn((width, width), generator=random, dtype=torch.float64)).Q
    scales = torch.logspace(0, np.log10(stretch), rank, dtype=torch.float64) * 2
    whitening = torch.cat([axes[:, :rank] * scales, axes.new_zeros((width, width - rank))], 1)
    whitened = distances.Whitened(torch.full((width,), away, dtype=torch.float64), whitening)
    features = torch.randn((7, width), generator=random)
    right = ((features.double() - away) @ whitening).square().sum(1)
    assert whitened.triangle.dtype == (torch.float32 if stretch == 1.0 else torch.float64)
    assert torch.equal(whitened.triangle, whitened.triangle.tril())
    torch.testing.assert_close(whitened.squared_length(features), right, rtol=1e-5 if stretch == 1.0 else 1e-12, atol=0)


@pytest.mark.parametrize("detector", [Mds(), Rmds()])
def test_one_sample_per_class_has_no_spread(detector: Detector, reference: Reference) -> None:
    train = chosen(reference.train, torch.arange(CLASSES))
    assert train.labels.tolist() == list(range(CLASSES))
    with pytest.raises(SynthoodError, match="Mahalanobis distances: one training sample per class does not say how"):
        detector.fit(Reference(train, reference.val, reference.weight, reference.bias))


def test_openood_rounds_before_it_inverts() -> None:
    """Features of rank 20 in 32 dimensions around a large mean: its formula agrees in float64, and not in float32."""
    random = torch.Generator().manual_seed(0)
    basis = torch.randn((20, 32), generator=random)

    def part(count: int, seed: int) -> Features:
        own = torch.randn((count, 20), generator=torch.Generator().manual_seed(seed)) * torch.linspace(1, 0.05, 20)
        labels = torch.arange(count) % CLASSES
        own[torch.arange(count), labels] += 2
        return Features(torch.zeros(count, CLASSES), own @ basis + 300, labels)

    train, test = part(1000, 1), part(300, 2)

    def openood(precision: type) -> np.ndarray:
        features = train.features.numpy().astype(precision)
        means = np.stack([features[train.labels == c].mean(0) for c in range(CLASSES)])
        centred = (features - means[train.labels]).astype(np.float64)
        inverse = scipy.linalg.pinvh(np.cov(centred, rowvar=False, bias=True))
        gaps = test.features.numpy().astype(np.float64)[:, None] - means
        return -np.einsum("ncd,de,nce->nc", gaps, inverse, gaps).min(1)

    own = Mds().fit(Reference(train, train, torch.zeros(CLASSES, 32), torch.zeros(CLASSES)))(test).numpy()
    assert own == pytest.approx(openood(np.float64), rel=1e-3)
    assert spearmanr(own, openood(np.float32)).statistic < 0.9

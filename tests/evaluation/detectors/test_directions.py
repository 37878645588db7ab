"""Distances of normalised features, by those of features that are normalised beforehand, and by numpy."""

import numpy as np
import pytest
import scipy.linalg
import torch.nn.functional as F

from synthood.evaluation.detectors import distances
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.directions import MdsPlusPlus, RmdsPlusPlus, Ssd
from synthood.evaluation.detectors.distances import Mds, Rmds
from synthood.evaluation.features import Features, Reference
from toy_features import CLASSES


def normalised(x: Features) -> Features:
    return Features(x.logits, F.normalize(x.features.double()), x.labels)


@pytest.mark.parametrize(("detector", "plain"), [(MdsPlusPlus(), Mds()), (RmdsPlusPlus(), Rmds())])
def test_mahalanobis_plus_plus_is_that_of_normalised_features(
    detector: Detector, plain: Detector, reference: Reference, near: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the plain one multiplies in double precision, too."""
    monkeypatch.setattr(distances, "EVEN", 0.0)
    parts = (normalised(x) for x in (reference.train, reference.val))
    expected = plain.fit(Reference(*parts, reference.weight, reference.bias))(normalised(near))
    assert detector.fit(reference)(near).tolist() == pytest.approx(expected.tolist(), rel=1e-6)


def test_mahalanobis_plus_plus_by_numpy(reference: Reference, near: Features) -> None:
    """The tied covariance, and that of all samples, in double precision."""
    z, x = (F.normalize(one.features.double()).numpy() for one in (reference.train, near))
    labels = reference.train.labels.numpy()
    means = np.stack([z[labels == c].mean(0) for c in range(CLASSES)])
    within = scipy.linalg.pinvh(np.cov((z - means[labels]).T, bias=True))
    gaps, away = x[:, None] - means, x - z.mean(0)
    nearest = np.einsum("ncd,de,nce->nc", gaps, within, gaps).min(1)
    total = np.einsum("nd,de,ne->n", away, scipy.linalg.pinvh(np.cov(z.T, bias=True)), away)
    assert MdsPlusPlus().fit(reference)(near).numpy() == pytest.approx(-nearest, rel=1e-6)
    assert RmdsPlusPlus().fit(reference)(near).numpy() == pytest.approx(total - nearest, rel=1e-6)


def test_ssd_by_the_released_formula(reference: Reference, near: Features) -> None:
    """Normalised, standardised, and then the distance by numpy's pseudo-inverse."""
    train, x = (F.normalize(one.features.double()).numpy() for one in (reference.train, near))
    mean, deviation = train.mean(0), train.std(0)
    train, x = (train - mean) / (deviation + 1e-10), (x - mean) / (deviation + 1e-10)
    inverse = np.linalg.pinv(np.cov(train.T, bias=True))
    expected = -np.sum((x - train.mean(0)) * (inverse @ (x - train.mean(0)).T).T, axis=-1)
    assert Ssd().fit(reference)(near).numpy() == pytest.approx(expected, rel=1e-6)

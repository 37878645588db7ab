"""GOOD's score by numpy, and its two ends: the order of the energy, and that of the neighbours' distance."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import spearmanr

from synthood.evaluation.detectors.good import Good
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.hyperparameters import OutOfRangeError
from toy_features import with_features


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_good_by_numpy(weight: float, reference: Reference, near: Features) -> None:
    bank, h = (each.double().numpy() for each in (reference.train.features, near.features))
    bank, h = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (bank, h))
    distance = np.sort(np.linalg.norm(h[:, None] - bank[None], axis=2), axis=1)[:, 4]
    known, energy = (logsumexp(each.logits.double().numpy(), axis=1) for each in (reference.val, near))
    scaled = (known.max() - energy) / (known.max() - known.min())
    found = Good(k=5, weight=weight).fit(reference)(near).numpy()
    np.testing.assert_allclose(found, -(1 - weight) * scaled - weight * distance, rtol=1e-5, atol=1e-6)


def test_without_weight_the_order_is_the_energys_and_with_all_of_it_knns(reference: Reference, near: Features) -> None:
    energy, distance = near.logits.logsumexp(1), Knn(k=5).fit(reference)(near)
    for weight, expected in ((0.0, energy), (1.0, distance)):
        found = Good(k=5, weight=weight).fit(reference)(near)
        assert spearmanr(found, expected).statistic > 1 - 1e-9


def test_a_constant_energy_of_id_leaves_the_distance(reference: Reference, near: Features) -> None:
    flat = Features(torch.zeros_like(reference.val.logits), reference.val.features, reference.val.labels)
    constant = Reference(reference.train, flat, reference.weight, reference.bias)
    found = Good(k=5).fit(constant)(near)
    torch.testing.assert_close(found, Good(k=5, weight=1.0).fit(reference)(near) / 2)


def test_a_feature_of_zeros_is_at_distance_one(reference: Reference) -> None:
    nothing = with_features(torch.zeros(1, reference.train.features.shape[1]), reference)
    assert float(Good(k=5, weight=1.0).fit(reference)(nothing)) == -1


def test_more_neighbours_than_training_features_are_refused(reference: Reference) -> None:
    with pytest.raises(OutOfRangeError, match="good: k 401 is larger than the bank's number of training features 400"):
        Good(k=401).fit(reference)

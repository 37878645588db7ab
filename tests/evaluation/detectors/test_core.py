"""CORE by numpy in double precision, class by class, and what it leaves out."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from synthood.evaluation.detectors.core import Core
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.hyperparameters import OutOfRangeError
from toy_features import CLASSES, WIDTH, with_features

Array = NDArray[np.float64]


def expected(aligned: str, reference: Reference, x: Features) -> Array:
    """A loop over samples, each with a projector of its own, the head's by numpy's pseudo-inverse."""
    weight = reference.weight.double().numpy()
    outside = [np.eye(WIDTH) - np.outer(w, w) / (w @ w) for w in weight]
    if aligned == "head":
        outside = [np.eye(WIDTH) - np.linalg.pinv(weight) @ weight] * CLASSES
    train = reference.train
    h, logits = train.features.double().numpy(), train.logits.double().numpy()
    right = logits.argmax(1) == train.labels.numpy()
    means = [h[right & (train.labels.numpy() == c)].mean(0) for c in range(CLASSES)]

    def parts(logits: Array, h: Array) -> Array:
        found = []
        for one, values in zip(h, logits, strict=True):
            c = values.argmax()
            r, own = outside[c] @ one, outside[c] @ means[c]
            found.append([logsumexp(values), r @ own / np.linalg.norm(r) / np.linalg.norm(own)])
        return np.array(found)

    seen = parts(logits, h)
    return np.sum((parts(x.logits.double().numpy(), x.features.double().numpy()) - seen.mean(0)) / seen.std(0), axis=1)


@pytest.mark.parametrize("aligned", ["class", "head"])
def test_core_by_numpy(aligned: str, reference: Reference, near: Features) -> None:
    found = Core(aligned=aligned).fit(reference)(near).numpy()
    np.testing.assert_allclose(found, expected(aligned, reference, near), rtol=1e-6, atol=1e-6)


def test_the_residual_of_the_head_is_what_changes_no_logit(reference: Reference) -> None:
    """Of a feature and of the same plus anything in the weights' span."""
    core = Core(aligned="head")
    state = core.state(reference)
    random = torch.Generator().manual_seed(0)
    h = torch.rand((5, WIDTH), generator=random, dtype=torch.float64)
    moved = h + torch.rand((5, CLASSES), generator=random, dtype=torch.float64) @ reference.weight.double()
    nothing = torch.zeros(5, dtype=torch.int64)
    left = core.residual(moved, nothing, state["axes"])
    torch.testing.assert_close(left, core.residual(h, nothing, state["axes"]), rtol=0, atol=1e-12)
    assert (left @ reference.weight.double().T).abs().max() < 1e-12


def test_weights_that_span_all_features_leave_nothing(reference: Reference) -> None:
    square = Reference(reference.train, reference.val, torch.eye(WIDTH), torch.zeros(WIDTH))
    with pytest.raises(OutOfRangeError, match="core: aligned head leaves no residual of 12 features; set class"):
        Core(aligned="head").fit(square)


def test_a_part_that_is_constant_in_training_counts_for_nothing(reference: Reference, near: Features) -> None:
    """Where all training features are one, the cosine has no scale, and the energy neither."""
    same = with_features(torch.ones(CLASSES * 3, WIDTH), reference)
    train = Features(same.logits, same.features, torch.arange(CLASSES * 3) % CLASSES)
    assert Core().fit(Reference(train, train, reference.weight, reference.bias))(near).tolist() == [0.0] * len(near)

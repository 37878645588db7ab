"""Residuals by an explicit projector, the regret by its sum."""

import math

import pytest
import torch
import torch.nn.functional as F

from synthood.evaluation.detectors.subspaces import Pnml, Residual, Vim
from synthood.evaluation.features import Features, Reference
from toy_features import CLASSES, WIDTH


def outside(reference: Reference, features: torch.Tensor) -> torch.Tensor:
    """Norm of what a projector from a singular value decomposition leaves, around u."""
    train = reference.train.features.double()
    origin = -torch.linalg.pinv(reference.weight.double()) @ reference.bias.double()
    _, _, directions = torch.linalg.svd(train - origin, full_matrices=False)
    projector = torch.eye(WIDTH, dtype=torch.float64) - directions[:6].T @ directions[:6]
    return ((features.double() - origin) @ projector).norm(dim=1)


def test_residual_and_vim_by_their_formulas(reference: Reference, near: Features) -> None:
    norm = outside(reference, near.features)
    torch.testing.assert_close(Residual(dimension=6).fit(reference)(near).double(), -norm, rtol=1e-4, atol=1e-4)
    alpha = reference.train.logits.double().amax(1).mean() / outside(reference, reference.train.features).mean()
    expected = near.logits.double().logsumexp(1) - alpha * norm
    torch.testing.assert_close(Vim(dimension=6).fit(reference)(near).double(), expected, rtol=1e-4, atol=1e-4)


def test_vim_without_anything_outside_is_the_energy(reference: Reference) -> None:
    """All features are zero and so is u: no norm to divide by."""
    zeros = torch.zeros(8, WIDTH)
    nothing = Features(torch.ones(8, CLASSES), zeros, torch.arange(8) % CLASSES)
    found = Vim(dimension=6).fit(Reference(nothing, nothing, reference.weight, torch.zeros(CLASSES)))(nothing)
    assert found.tolist() == pytest.approx([1 + math.log(CLASSES)] * 8)


def test_pnml_by_its_formula(reference: Reference, near: Features) -> None:
    z, x = (F.normalize(y.features.double()) for y in (reference.train, near))
    kappa = (x @ torch.linalg.pinv(z.T @ z) * x).sum(1)
    p = F.linear(x.float(), reference.weight, reference.bias).double().softmax(1)
    power = (kappa / (1 + kappa))[:, None]
    regret = (p / (p + (1 - p) * p**power)).sum(1).log() / math.log(CLASSES)
    torch.testing.assert_close(Pnml().fit(reference)(near).double(), -regret, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("factor", [0.5, 8.0])
def test_pnml_looks_at_directions_alone(factor: float, reference: Reference, near: Features) -> None:
    longer = Features(near.logits, near.features * factor, near.labels)
    method = Pnml().fit(reference)
    torch.testing.assert_close(method(longer), method(near), rtol=1e-4, atol=1e-6)

"""Residuals by an explicit projector, the regret by its sum."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from synthood.evaluation.detectors.subspaces import Kpca, Neco, Pnml, Residual, Vim
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


@pytest.mark.parametrize("dimension", [1, 4, 12])
@pytest.mark.parametrize("max_logit", [True, False])
def test_neco_as_released(dimension: int, max_logit: bool, reference: Reference, near: Features) -> None:
    """Standardised and projected by scikit-learn."""
    scaler = StandardScaler().fit(reference.train.features.double().numpy())
    train, x = (scaler.transform(one.features.double().numpy()) for one in (reference.train, near))
    inside = PCA().fit(train).transform(x)[:, :dimension]
    expected = np.linalg.norm(inside, axis=1) / np.linalg.norm(x, axis=1)
    if max_logit:
        expected *= near.logits.amax(1).double().numpy()
    found = Neco(dimension=dimension, max_logit=max_logit).fit(reference)(near)
    assert found.numpy() == pytest.approx(expected, rel=1e-6)


def test_neco_by_the_papers_formula(reference: Reference, near: Features) -> None:
    axes = PCA(4).fit(reference.train.features.double().numpy()).components_
    h = near.features.double().numpy()
    expected = np.linalg.norm(h @ axes.T, axis=1) / np.linalg.norm(h, axis=1)
    found = Neco(dimension=4, standardised=False, max_logit=False).fit(reference)(near)
    assert found.numpy() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("standardised", [True, False])
def test_neco_takes_as_many_axes_as_hold_most_of_the_variance(standardised: bool, reference: Reference) -> None:
    features = reference.train.features.double().numpy()
    ratio = PCA().fit(StandardScaler().fit_transform(features) if standardised else features).explained_variance_ratio_
    axes = Neco(standardised=standardised).state(reference)["axes"]
    assert axes.shape[1] == np.where(np.cumsum(ratio) >= 0.9)[0][0] + 1


@pytest.mark.parametrize("variance", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("kernel", ["cosine", "cosine-gaussian"])
def test_kpca_by_a_singular_value_decomposition(
    kernel: str, variance: float, reference: Reference, near: Features
) -> None:
    """The residual of mapped features outside the axes that hold the share, all in double precision."""
    detector = Kpca(kernel=kernel, variance=variance, directions=40)
    state = detector.state(reference)
    train, x = (F.normalize(one.features.double()).numpy() for one in (reference.train, near))
    if kernel == "cosine-gaussian":
        frequencies, turns = (state[name].double().numpy() for name in ("frequencies", "turns"))
        train, x = (np.sqrt(2 / 40) * np.cos(one @ frequencies.T + turns) for one in (train, x))
    centred, mean = train - train.mean(0), train.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    kept = np.where(np.cumsum(values**2) >= variance * np.sum(values**2))[0][0] + 1
    inside = (x - mean) @ axes[:kept].T @ axes[:kept]
    expected = -np.linalg.norm(x - mean - inside, axis=1)
    assert detector.fit(reference)(near).numpy() == pytest.approx(expected, abs=1e-6)


def test_random_features_are_of_the_gaussian_kernel_of_cosines(reference: Reference, near: Features) -> None:
    """Their products approach exp(-gamma ||z - z'||^2)."""
    detector = Kpca(gamma=1.5, directions=20000)
    few, other = near.features[:5], reference.train.features[:7]
    random = torch.Generator().manual_seed(5)
    drawn = {
        "frequencies": math.sqrt(3.0) * torch.randn((20000, WIDTH), generator=random),
        "turns": 2 * math.pi * torch.rand(20000, generator=random),
    }
    kernel = torch.exp(-1.5 * torch.cdist(F.normalize(few), F.normalize(other)).square())
    found = detector.mapped(few, drawn) @ detector.mapped(other, drawn).T
    torch.testing.assert_close(found, kernel, rtol=0, atol=0.03)

"""Detectors against closed forms and pytorch-ood, whose scores are larger for OOD."""

import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_ood.detector import KNN, EnergyBased, Mahalanobis, MaxSoftmax, ReAct, ViM
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.evaluation import detectors
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.settings import Detector, Energy, Knn, Mds, Msp, React, Vim

CLASSES, WIDTH, TEST = 4, 12, 200
EVERY: list[Detector] = [
    Msp(kind="msp"),
    Energy(kind="energy", temperature=2.0),
    Knn(kind="knn", k=5),
    Mds(kind="mds"),
    Vim(kind="vim", dimension=6),
    React(kind="react", percentile=80.0),
]
every = pytest.mark.parametrize("detector", EVERY, ids=lambda one: one.kind)


def part(count: int, seed: int, weight: Tensor, bias: Tensor, far: float = 0.0) -> Features:
    """Rectified features around a centre per class and in a plane mostly; `far` moves them out of it."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    centres = 3 * torch.eye(CLASSES, WIDTH) + 0.5
    noise = torch.randn((count, WIDTH), generator=random) * torch.linspace(0.8, 0.3, WIDTH)
    away = far * torch.rand((count, WIDTH), generator=random) * (torch.arange(WIDTH) >= CLASSES)
    features = (centres[labels] * (1 - far / 2) + noise + away).relu()
    return Features(F.linear(features, weight, bias), features, labels)


@pytest.fixture(scope="module")
def reference() -> Reference:
    random = torch.Generator().manual_seed(0)
    weight = torch.eye(CLASSES, WIDTH) + 0.1 * torch.randn((CLASSES, WIDTH), generator=random)
    bias = torch.tensor([0.3, -0.2, 0.1, 0.0])
    return Reference(part(400, 1, weight, bias), part(150, 2, weight, bias), weight, bias)


@pytest.fixture(scope="module")
def near(reference: Reference) -> Features:
    """ID samples, then OOD samples; no detector separates them fully."""
    inside = part(TEST, 3, reference.weight, reference.bias)
    outside = part(TEST, 4, reference.weight, reference.bias, far=1.0)
    return joined(inside, outside)


def joined(a: Features, b: Features) -> Features:
    return Features(*(torch.cat(pair) for pair in zip(vars(a).values(), vars(b).values(), strict=True)))


def chosen(x: Features, index: Tensor) -> Features:
    return Features(x.logits[index], x.features[index], x.labels[index])


def with_logits(logits: Tensor) -> Features:
    return Features(logits, torch.zeros(len(logits), 2), torch.zeros(len(logits), dtype=torch.int64))


def theirs(name: str, reference: Reference, x: Features) -> Tensor:
    """Confidence by pytorch-ood, fitted on the same data."""
    train = reference.train
    if name == "msp":
        outlier = MaxSoftmax(None).predict_logits(x.logits)
    elif name == "energy":
        outlier = EnergyBased(None, t=2.0).predict_logits(x.logits)
    elif name == "knn":
        outlier = KNN(None, k=5).fit_features(train.features, train.labels).predict_features(x.features)
    elif name == "mds":
        outlier = Mahalanobis(None).fit_features(train.features, train.labels).predict_features(x.features)
    elif name == "vim":
        vim = ViM(None, d=6, w=reference.weight, b=reference.bias)
        outlier = vim.fit_features(train.features, train.labels).predict_features(x.features)
    else:
        react = ReAct(None, lambda h: F.linear(h, reference.weight, reference.bias), percentile=0.8)
        react.fit_feature_maps(reference.val.features, reference.val.labels)
        outlier = react.predict_feature_maps(x.features)
    return -outlier.double()


@every
def test_agrees_with_pytorch_ood(detector: Detector, reference: Reference, near: Features) -> None:
    own, other = detectors.fit(detector, reference)(near), theirs(detector.kind, reference, near)
    truth = [1] * TEST + [0] * TEST
    assert spearmanr(own, other).statistic >= 0.9999
    area = roc_auc_score(truth, own)
    assert area == pytest.approx(roc_auc_score(truth, other), abs=1e-4)
    assert 0.55 < area < 0.9999  # neither chance nor saturated, so that the comparison means something


@every
def test_id_scores_above_ood_on_a_separable_toy(detector: Detector, reference: Reference) -> None:
    inside = part(40, 5, reference.weight, reference.bias)
    features = 0.01 + 6.0 * (torch.arange(WIDTH) >= CLASSES).float().repeat(40, 1)
    weight = torch.eye(CLASSES, WIDTH)
    toy = Reference(
        Features(F.linear(reference.train.features, weight), reference.train.features, reference.train.labels),
        reference.val,
        weight,
        torch.zeros(CLASSES),
    )
    inside = Features(F.linear(inside.features, weight), inside.features, inside.labels)
    outside = Features(F.linear(features, weight), features, inside.labels)
    score = detectors.fit(detector, toy)
    assert roc_auc_score([1] * 40 + [0] * 40, torch.cat([score(inside), score(outside)])) > 0.99


@every
def test_each_sample_is_scored_by_itself(detector: Detector, reference: Reference, near: Features) -> None:
    score = detectors.fit(detector, reference)
    order = torch.randperm(len(near), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(score(chosen(near, order)), score(near)[order], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(score(chosen(near, order[:3])), score(near)[order[:3]], rtol=1e-5, atol=1e-5)


@every
def test_order_of_the_reference_is_irrelevant(detector: Detector, reference: Reference, near: Features) -> None:
    backwards = [chosen(x, torch.arange(len(x)).flip(0)) for x in (reference.train, reference.val)]
    other = Reference(*backwards, reference.weight, reference.bias)
    ours, theirs = (detectors.fit(detector, one)(near) for one in (reference, other))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@every
def test_fitted_on_the_named_part_alone(detector: Detector, reference: Reference, near: Features) -> None:
    """ReAct learns its bound from validation, the others what they learn from training."""
    broken = Features(*(torch.full_like(x, -7) for x in vars(reference.train).values()))
    if isinstance(detector, React):
        other = Reference(broken, reference.val, reference.weight, reference.bias)
    else:
        other = Reference(reference.train, broken, reference.weight, reference.bias)
    assert torch.equal(detectors.fit(detector, other)(near), detectors.fit(detector, reference)(near))


@every
def test_result_is_one_float32_per_sample(detector: Detector, reference: Reference, near: Features) -> None:
    confidence = detectors.fit(detector, reference)(near)
    assert (confidence.dtype, confidence.shape) == (torch.float32, (len(near),))


def test_msp_by_hand(reference: Reference) -> None:
    logits = torch.log(torch.tensor([[1.0, 3.0], [1.0, 1.0]]))
    assert detectors.msp(EVERY[0], reference)(with_logits(logits)).tolist() == pytest.approx([0.75, 0.5])


def test_energy_by_hand(reference: Reference) -> None:
    logits = 2 * torch.log(torch.tensor([[1.0, 3.0], [2.0, 6.0]]))
    found = detectors.fit(Energy(kind="energy", temperature=2.0), reference)(with_logits(logits))
    assert found.tolist() == pytest.approx([2 * torch.log(torch.tensor(v)).item() for v in (4.0, 8.0)])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=6), st.floats(-5, 5, width=32))
def test_shifted_logits_shift_the_energy_and_leave_msp(logits: list[float], shift: float) -> None:
    """A constant added to every logit comes out of the energy, at any temperature, and cancels in the softmax."""
    before, after = with_logits(torch.tensor([logits])), with_logits(torch.tensor([logits]) + shift)
    unused: Reference = None
    energy = detectors.fit(Energy(kind="energy", temperature=1.5), unused)
    assert energy(after).item() == pytest.approx(energy(before).item() + shift, abs=1e-4)
    msp = detectors.fit(Msp(kind="msp"), unused)
    assert msp(after).item() == pytest.approx(msp(before).item(), abs=1e-5)


@pytest.mark.parametrize("k", [1, 3, 400])
def test_knn_by_brute_force(k: int, reference: Reference, near: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "CHUNK", 7)
    bank = reference.train.features.double()
    bank = bank / bank.norm(dim=1, keepdim=True)
    queries = near.features.double() / near.features.double().norm(dim=1, keepdim=True)
    distances = (queries[:, None] - bank[None]).square().sum(2).sort(1).values
    found = detectors.fit(Knn(kind="knn", k=k), reference)(near)
    torch.testing.assert_close(found.double(), -distances[:, k - 1], rtol=0, atol=1e-5)


def test_knn_of_the_bank_itself_is_zero(reference: Reference) -> None:
    found = detectors.fit(Knn(kind="knn", k=1), reference)(reference.train)
    assert found.max() <= 0
    assert found.min() > -1e-5


def test_k_above_the_bank_is_an_error(reference: Reference) -> None:
    with pytest.raises(SynthoodError, match="k 401 is larger than the bank of 400"):
        detectors.fit(Knn(kind="knn", k=401), reference)


def mahalanobis(train: Features, x: Features) -> Tensor:
    """The formula, with scipy's pseudo-inverse of the tied covariance."""
    features, wanted = train.features.double(), x.features.double()
    means = {int(c): features[train.labels == c].mean(0) for c in train.labels.unique()}
    centred = features - torch.stack([means[int(c)] for c in train.labels])
    inverse = torch.from_numpy(scipy.linalg.pinvh((centred.T @ centred / len(features)).numpy()))
    distances = [((wanted - mean) @ inverse * (wanted - mean)).sum(1) for mean in means.values()]
    return -torch.stack(distances).amin(0)


def test_mds_on_full_rank_features(reference: Reference, near: Features) -> None:
    found = detectors.fit(Mds(kind="mds"), reference)(near).double()
    torch.testing.assert_close(found, mahalanobis(reference.train, near), rtol=1e-4, atol=1e-4)


def degenerate(x: Features) -> Features:
    """A unit that is dead, and one that repeats another: rank WIDTH - 2."""
    features = x.features.clone()
    features[:, 3] = 0.0
    features[:, 5] = features[:, 4]
    return Features(x.logits, features, x.labels)


def test_mds_with_dead_and_repeated_units(reference: Reference, near: Features) -> None:
    broken = Reference(degenerate(reference.train), reference.val, reference.weight, reference.bias)
    found = detectors.fit(Mds(kind="mds"), broken)(degenerate(near)).double()
    torch.testing.assert_close(found, mahalanobis(broken.train, degenerate(near)), rtol=1e-4, atol=1e-4)
    assert found.min() > -1e4  # a plain inverse would blow the null directions up


def test_mds_of_constant_features_is_zero(reference: Reference) -> None:
    constant = Features(torch.zeros(8, 2), torch.ones(8, 3), torch.arange(8) % 2)
    score = detectors.fit(Mds(kind="mds"), Reference(constant, constant, torch.zeros(2, 3), torch.zeros(2)))
    assert score(constant).tolist() == [0.0] * 8


def test_mds_with_a_class_missing_from_training(reference: Reference, near: Features) -> None:
    """Labels 0, 2 and 3: means are found by label, not by position."""
    kept = chosen(reference.train, (reference.train.labels != 1).nonzero()[:, 0])
    found = detectors.fit(Mds(kind="mds"), Reference(kept, reference.val, reference.weight, reference.bias))(near)
    torch.testing.assert_close(found.double(), mahalanobis(kept, near), rtol=1e-4, atol=1e-4)


def test_pseudo_whitening_squares_to_pinvh() -> None:
    factor = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    covariance = factor @ factor.T
    whitening = detectors.pseudo_whitening(covariance)
    expected = torch.from_numpy(scipy.linalg.pinvh(covariance.numpy()))
    torch.testing.assert_close(whitening @ whitening.T, expected, rtol=1e-8, atol=1e-8)


def test_vim_by_its_formula(reference: Reference, near: Features) -> None:
    """With an explicit projector onto the residual space, from a singular value decomposition."""
    train, x = reference.train, near.features.double()
    origin = -torch.linalg.pinv(reference.weight.double()) @ reference.bias.double()
    _, _, directions = torch.linalg.svd(train.features.double() - origin, full_matrices=False)
    projector = torch.eye(WIDTH, dtype=torch.float64) - directions[:6].T @ directions[:6]
    residual = ((train.features.double() - origin) @ projector).norm(dim=1)
    alpha = train.logits.double().amax(1).mean() / residual.mean()
    expected = near.logits.double().logsumexp(1) - alpha * ((x - origin) @ projector).norm(dim=1)
    found = detectors.fit(Vim(kind="vim", dimension=6), reference)(near)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dimension", [WIDTH, WIDTH + 1])
def test_vim_dimension_must_leave_a_residual(dimension: int, reference: Reference) -> None:
    with pytest.raises(SynthoodError, match=f"dimension {dimension} must be below the features' {WIDTH}"):
        detectors.fit(Vim(kind="vim", dimension=dimension), reference)


@pytest.mark.parametrize("percentile", [0.5, 37.3, 90.0, 100.0])
def test_react_bound_is_the_percentile(percentile: float, reference: Reference, near: Features) -> None:
    bound = torch.quantile(reference.val.features.double(), percentile / 100)
    clipped = near.features.double().clamp(max=bound)
    expected = F.linear(clipped, reference.weight.double(), reference.bias.double()).logsumexp(1)
    found = detectors.fit(React(kind="react", percentile=percentile), reference)(near)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)

"""Detectors against pytorch-ood, whose scores are larger for OOD; where the two differ by intent, the difference."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from pytorch_ood import detector as theirs
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.distances import Gmm, Mds, Rmds
from synthood.evaluation.detectors.heads import Fdbd, GradNorm, GradUncertainty, Nci, She
from synthood.evaluation.detectors.logits import Energy, Entropy, Gen, Klm, Mls, Msp, OpenMax, Temperature
from synthood.evaluation.detectors.neighbours import Knn, NnGuide
from synthood.evaluation.detectors.rectifiers import Ash, Dice, Lts, React, Scale, Vra
from synthood.evaluation.detectors.subspaces import Pnml, Vim
from synthood.evaluation.features import Features, Reference
from toy_features import TEST, chosen

TRUTH = [1] * TEST + [0] * TEST
Oracle = Callable[[Reference, Features, nn.Linear], Tensor]


def linear(reference: Reference) -> nn.Linear:
    head = nn.Linear(*reversed(reference.weight.shape))
    head.weight.data, head.bias.data = reference.weight, reference.bias
    return head.requires_grad_(False)


def maps(x: Tensor) -> Tensor:
    return x[:, :, None, None]


def on_maps(head: nn.Linear) -> Callable[[Tensor], Tensor]:
    return lambda x: head(x.flatten(1))


def fit(detector: object, x: Features) -> object:
    return detector.fit_features(x.features, x.labels)


AGREEING: list[tuple[Detector, Oracle]] = [
    (Msp(), lambda r, x, head: theirs.MaxSoftmax(None).predict_logits(x.logits)),
    (
        Energy(temperature=2.0),
        lambda r, x, head: theirs.EnergyBased(None, t=2.0).predict_logits(x.logits),
    ),
    (
        Gen(gamma=0.1, top=3),
        lambda r, x, head: theirs.GEN(None, gamma=0.1, M=3).predict_logits(x.logits),
    ),
    (
        Klm(),
        lambda r, x, head: theirs.KLMatching(None).fit_logits(r.val.logits, r.val.labels).predict_logits(x.logits),
    ),
    (Knn(k=5), lambda r, x, head: fit(theirs.KNN(None, k=5), r.train).predict_features(x.features)),
    (
        Vim(dimension=6),
        lambda r, x, head: fit(theirs.ViM(None, d=6, w=r.weight, b=r.bias), r.train).predict_features(x.features),
    ),
    (
        She(),
        lambda r, x, head: fit(theirs.SHE(None, head), r.train).predict_features(x.features),
    ),
    (
        React(percentile=80.0),
        lambda r, x, head: (
            theirs.ReAct(None, head, percentile=0.8)
            .fit_feature_maps(r.val.features, r.val.labels)
            .predict_feature_maps(x.features)
        ),
    ),
    (
        Ash(variant="b", percentile=65.0),
        lambda r, x, head: theirs.ASH(None, on_maps(head), "ash-b", 0.65).predict_feature_maps(maps(x.features)),
    ),
    (
        Dice(percentile=60.0),
        lambda r, x, head: fit(theirs.DICE(None, r.weight, r.bias, p=0.6), r.train).predict_features(x.features),
    ),
    (
        Scale(percentile=65.0),
        lambda r, x, head: theirs.SCALE(None, on_maps(head), 0.65).predict_feature_maps(maps(x.features)),
    ),
    (
        Nci(alpha=0.01),
        lambda r, x, head: fit(theirs.NCI(None, head, alpha=0.01), r.train).predict_features(x.features),
    ),
    (Fdbd(), lambda r, x, head: fit(theirs.fDBD(None, head), r.train).predict_features(x.features)),
    (Mls(), lambda r, x, head: theirs.MaxLogit(None).predict_logits(x.logits)),
    (Entropy(), lambda r, x, head: theirs.Entropy(None).predict_logits(x.logits)),
    (
        Ash(variant="s", percentile=65.0),
        lambda r, x, head: theirs.ASH(None, on_maps(head), "ash-s", 0.65).predict_feature_maps(maps(x.features)),
    ),
    (
        Ash(variant="p", percentile=65.0),
        lambda r, x, head: theirs.ASH(None, on_maps(head), "ash-p", 0.65).predict_feature_maps(maps(x.features)),
    ),
    (
        Lts(share=0.3),
        lambda r, x, head: theirs.LTS(None, head, p=0.3).predict_features(x.features),
    ),
    (
        NnGuide(k=5),
        lambda r, x, head: fit(theirs.NNGuide(None, head, k=5), r.train).predict_features(x.features),
    ),
    (Pnml(), lambda r, x, head: fit(theirs.PNML(None, head), r.train).predict_features(x.features)),
    (
        Mds(),
        lambda r, x, head: fit(theirs.Mahalanobis(None), r.train).predict_features(x.features),
    ),
    (Rmds(), lambda r, x, head: fit(theirs.RMD(None), r.train).predict_features(x.features)),
    (
        Gmm(ridge=1e-9),
        lambda r, x, head: fit(theirs.GMM(None, reg=1e-12), r.train).predict_features(x.features),
    ),
    (
        OpenMax(alpha=3, tail=20),
        lambda r, x, head: (
            theirs.OpenMax(None, tailsize=20, alpha=3).fit_logits(*rightly_classified(r.train)).predict_logits(x.logits)
        ),
    ),
    (
        GradUncertainty(),
        lambda r, x, head: theirs.GradUncertainty(nn.Sequential(linear(r).requires_grad_(True))).predict(x.features),
    ),
    (
        GradNorm(),
        lambda r, x, head: theirs.GradNorm(
            nn.Sequential(linear(r).requires_grad_(True)), param_filter=lambda name: name.endswith("weight")
        ).predict(x.features),
    ),
]


def rightly_classified(x: Features) -> tuple[Tensor, Tensor]:
    right = x.logits.argmax(1) == x.labels
    return x.logits[right], x.labels[right]


def areas(own: Tensor, other: Tensor) -> tuple[float, float]:
    return roc_auc_score(TRUTH, own), roc_auc_score(TRUTH, other)


@pytest.mark.parametrize(("settings", "oracle"), AGREEING, ids=lambda one: getattr(one, "kind", ""))
def test_agrees_with_pytorch_ood(settings: Detector, oracle: Oracle, reference: Reference, near: Features) -> None:
    own = settings.fit(reference)(near)
    other = -oracle(reference, near, linear(reference)).double()
    assert spearmanr(own, other).statistic >= 0.9999
    area, expected = areas(own, other)
    assert area == pytest.approx(expected, abs=1e-4)
    assert 0.55 < area < 0.9999  # neither chance nor saturated, so that the comparison means something


def test_gen_is_the_log_of_their_mean(reference: Reference, near: Features) -> None:
    own = Gen(gamma=0.5, top=3).fit(reference)(near)
    torch.testing.assert_close((-0.5 * own).exp(), theirs.GEN(None, gamma=0.5, M=3).predict_logits(near.logits))


def test_knn_is_their_distance_squared(reference: Reference, near: Features) -> None:
    own = Knn(k=5).fit(reference)(near)
    other = fit(theirs.KNN(None, k=5), reference.train).predict_features(near.features)
    torch.testing.assert_close(own.double(), -other.double().square(), rtol=1e-4, atol=1e-6)


def test_vra_has_one_pair_of_bounds_and_they_one_per_unit(reference: Reference, near: Features) -> None:
    own = Vra(low=20.0, high=80.0).fit(reference)(near)
    head = linear(reference)
    vra = theirs.VRA(None, head, lower_percentile=0.2, upper_percentile=0.8)
    per_unit = -vra.fit_feature_maps(reference.val.features, reference.val.labels).predict_feature_maps(near.features)
    assert spearmanr(own, per_unit).statistic < 0.99
    low, high = (torch.quantile(reference.val.features.flatten(), q) for q in (0.2, 0.8))
    torch.testing.assert_close(own, head(near.features.clamp(low, high)).logsumexp(1), rtol=1e-5, atol=1e-5)


def test_ash_prunes_ninety_percent_and_evens_by_default_and_they_prune_less_and_scale(
    reference: Reference, near: Features
) -> None:
    head = on_maps(linear(reference))
    own = Ash().fit(reference)(near)
    same = -theirs.ASH(None, head, "ash-b", 0.9).predict_feature_maps(maps(near.features))
    default = -theirs.ASH(None, head).predict_feature_maps(maps(near.features))
    torch.testing.assert_close(own, same, rtol=1e-5, atol=1e-5)
    assert spearmanr(own, default).statistic < 0.99


def deficient(x: Features, off: float = 0.0) -> Features:
    """Two dead units and one that is the sum of two others; `off` moves samples out of that space."""
    features = x.features.clone()
    features[:, 3] = features[:, 5] = 0.0
    features[:, 6] = features[:, 4] + features[:, 7] + off * torch.arange(len(features)).remainder(5)
    return Features(x.logits, features, x.labels)


@pytest.mark.parametrize(("settings", "other"), [(Mds(), theirs.Mahalanobis), (Rmds(), theirs.RMD)])
def test_null_directions_are_dropped_and_they_divide_by_a_millionth(
    settings: Detector, other: type, reference: Reference, near: Features
) -> None:
    """In the training data's span both agree; out of it theirs explodes, and ours stays what it is in the span."""
    train, val = deficient(reference.train), deficient(reference.val)
    score = settings.fit(Reference(train, val, reference.weight, reference.bias))
    inside, outside = deficient(near), deficient(near, off=0.01)
    explodes = -fit(other(None), train).predict_features(outside.features)
    calm = -fit(other(None), train).predict_features(inside.features)
    assert spearmanr(score(outside), score(inside)).statistic > 0.99
    assert spearmanr(explodes, calm).statistic < 0.9
    span = torch.tensor([unit for unit in range(12) if unit not in (3, 5, 6)])
    slim = Features(train.logits, train.features[:, span], train.labels)
    alone = settings.fit(Reference(slim, slim, reference.weight[:, span], reference.bias))
    expected = alone(Features(inside.logits, inside.features[:, span], inside.labels))
    torch.testing.assert_close(score(inside), expected, rtol=1e-3, atol=1e-3)


def test_temperature_has_the_least_loss_and_theirs_is_on_the_way(reference: Reference) -> None:
    """A noisy validation set, on which the best temperature is inside the bounds."""
    random = torch.Generator().manual_seed(0)
    val = chosen(reference.val, torch.arange(150))
    labels = torch.where(
        torch.rand(150, generator=random) < 0.3, torch.randint(0, 4, (150,), generator=random), val.labels
    )
    noisy = Features(val.logits, val.features, labels)
    own = Temperature().fit(Reference(noisy, noisy, reference.weight, reference.bias))
    grid = torch.linspace(0.3, 5, 4701)
    losses = torch.stack([F.cross_entropy(val.logits / t, labels) for t in grid])
    best = grid[losses.argmin()]
    torch.testing.assert_close(own(noisy).sigmoid(), (val.logits / best).softmax(1).amax(1), rtol=2e-3, atol=2e-3)
    other = theirs.TemperatureScaling(None).fit_logits(val.logits, labels)
    assert F.cross_entropy(val.logits / other.t.item(), labels) >= losses.min() - 1e-6

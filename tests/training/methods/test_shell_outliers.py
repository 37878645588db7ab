"""GCOS: conformal quantiles, directions, outliers between them, the losses, and bad input."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binomtest
from torch import Tensor, nn

from synthood.errors import SynthoodError
from synthood.training.methods.shell_outliers import (
    Shell,
    ShellOutliers,
    ShellSynthesis,
    conformal,
    fewest,
    fit_shell,
    held_apart,
    reached,
)
from synthood.training.methods.term import Batch
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.terms.build import learned
from toy_training import batch_of, normal, random, reaches

SMALL = {"queue": 8, "inner": 0.5, "outer": 0.8, "start": 0.0, "weight": 1.0}
LABELS = torch.tensor([0, 1, 2] * 8)


def features(count: int, classes: int = 3, width: int = 5, seed: int = 0) -> Tensor:
    """Heavy-tailed features [C,n,D] of different means and covariances."""
    random_numbers = np.random.default_rng(seed)
    drawn = random_numbers.standard_t(5, (classes, count, width))
    mixing = np.random.default_rng(1).normal(size=(classes, width, width)) * np.logspace(0, -1.5, width)[:, None]
    return torch.from_numpy(drawn @ mixing + 10 * (np.arange(classes) % 7)[:, None, None]).float()


def shell_of(queue: Tensor, **more: Any) -> Shell:
    return fit_shell(queue, ShellOutliers(**({"queue": queue.shape[1], "calibration": "pooled", "outer": 0.98} | more)))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=40), st.floats(0.02, 0.98))
def test_conformal_quantiles_are_the_smallest_scores_that_enough_are_at_most(scores: list[int], share: float) -> None:
    count = len(scores)
    if not reached(share, count):
        assert count < fewest(share)
        return
    assert count >= fewest(share)
    found = conformal(torch.tensor(scores, dtype=torch.float64), share).item()
    enough = [s for s in scores if sum(other <= s for other in scores) >= share * (count + 1) - 1e-9]
    assert found == min(enough)


def test_ranks_are_exact_where_the_product_is_a_number_of_scores() -> None:
    scores = torch.arange(1.0, 20.0)
    assert [conformal(scores, share).item() for share in (0.05, 0.5, 0.9, 0.95)] == [1, 10, 18, 19]
    assert not reached(0.951, 19)
    assert [fewest(0.95), fewest(0.99), fewest(0.5)] == [19, 99, 1]


@pytest.mark.parametrize("calibration", ["class", "pooled"])
@pytest.mark.parametrize("covariance", ["class", "shared"])
def test_new_features_are_in_the_shell_as_often_as_the_quantiles_say(calibration: str, covariance: str) -> None:
    """Exactly (b - a) / (n + 1) lie between the scores of ranks a and b of n, here 39 of each of 700 classes."""
    drawn = features(79, classes=700)
    more: dict[str, Any] = {"calibration": calibration, "covariance": covariance, "inner": 0.8, "outer": 0.95}
    shell = shell_of(drawn[:, :78], **more)
    scores = shell.distances(drawn[:, 78].double()).diagonal()
    inside = int(((shell.bounds[:, 0] < scores) & (scores <= shell.bounds[:, 1])).sum())
    count = 39 if calibration == "class" else 39 * 700
    expected = (math.ceil(0.95 * (count + 1)) - math.ceil(0.8 * (count + 1))) / (count + 1)
    interval = binomtest(inside, 700).proportion_ci(0.999)
    assert interval.low < expected < interval.high
    assert interval.high - interval.low < 0.11


@pytest.mark.parametrize("covariance", ["class", "shared"])
def test_distances_are_mahalanobis_of_the_shrunk_covariance(covariance: str) -> None:
    queue = features(40)
    shell = shell_of(queue, covariance=covariance, shrinkage=0.2)
    fitted = queue[:, ::2].double().numpy()
    each = [np.cov(own.T, bias=True) for own in fitted]
    new = features(6, seed=3)[1].double()
    for label in range(3):
        found = each[label] if covariance == "class" else np.mean(each, 0)
        shrunk = 0.8 * found + 0.2 * np.trace(found) / 5 * np.eye(5)
        away = new.numpy() - fitted[label].mean(0)
        expected = np.einsum("nd,de,ne->n", away, np.linalg.inv(shrunk), away)
        assert shell.distances(new)[:, label].numpy() == pytest.approx(expected, rel=1e-9)


def test_directions_of_little_variance_hold_the_share_that_is_left() -> None:
    queue = features(400)
    for variance in (0.3, 0.9, 0.99):
        shell = shell_of(queue, variance=variance, shrinkage=1e-9)
        for label in range(3):
            spread = shell.variances[label]
            count = int(shell.small[label].sum())
            assert torch.equal(shell.small[label], (torch.arange(5) < count).double())
            assert count == 1 or spread[:count].sum() <= (1 - variance) * spread.sum() * (1 + 1e-6)
            assert spread[: count + 1].sum() > (1 - variance) * spread.sum()


@pytest.mark.parametrize("covariance", ["class", "shared"])
@pytest.mark.parametrize("directions", ["each", "mean", "any"])
def test_outliers_lie_between_the_bounds_along_their_directions(directions: str, covariance: str) -> None:
    shell = shell_of(features(200), covariance=covariance, inner=0.9, outer=0.98)
    outliers = shell.drawn(50, directions, random())
    assert outliers.shape == (150, 5)
    own = shell.distances(outliers).gather(1, torch.arange(3).repeat_interleave(50)[:, None]).view(3, 50)
    assert (own >= shell.bounds[:, :1] * (1 - 1e-9)).all()
    assert (own <= shell.bounds[:, 1:] * (1 + 1e-9)).all()
    # Lengths are uniform: half of the roots below the middle of the shell.
    middle = shell.bounds.sqrt().mean(1, keepdim=True)
    assert 45 < (own.sqrt() < middle).sum() < 105
    for label, away in enumerate(outliers.view(3, 50, 5) - shell.means[:, None]):
        row = label if covariance == "class" else 0
        parts = away @ shell.vectors[row]
        used = parts.abs() > 1e-9
        small = shell.small[row].bool()
        if directions == "any":
            assert used.all()
            continue
        assert not used[:, ~small].any()
        assert used.sum(1).eq(1 if directions == "each" else small.sum()).all()
        assert (parts[:, small] > 0).any()
        assert (parts[:, small] < 0).any()
        lengths = parts.abs()[:, small]
        if directions == "mean":
            torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths))
        else:
            assert used[:, small].any(0).all()


def test_the_margin_is_its_formula() -> None:
    known, outliers = normal(7), normal(4, seed=1)
    margin = np.percentile(known.detach(), 95) - np.percentile(known.detach(), 50)
    each = [max(0.0, float(s - o) + margin) for s in known.detach() for o in outliers.detach()]
    assert float(held_apart(known, outliers).detach()) == pytest.approx(sum(each) / 28)

    def with_margin(known: Tensor, outliers: Tensor) -> Tensor:
        return (known[:, None] - outliers[None] + margin).relu().mean()

    found = torch.autograd.grad(held_apart(known, outliers), (known, outliers))
    assert torch.autograd.gradcheck(with_margin, (known, outliers))
    expected = torch.autograd.grad(with_margin(known, outliers), (known, outliers))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("loss", ["energy", "mahalanobis", "logistic"])
def test_gradients_are_those_of_finite_differences(loss: Any) -> None:
    """Of the batch's features and the last layer; the margin, which has no gradient, is held."""
    term = ShellSynthesis(ShellOutliers(**SMALL, loss=loss), 5, 3).double()
    shell = shell_of(features(16), inner=0.5, outer=0.9)
    outliers = shell.drawn(2, "each", random())
    head = nn.Linear(5, 3).double()
    labels = torch.tensor([0, 1, 2, 0])

    def value(known: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        layer = nn.Linear(5, 3).double()
        del layer.weight, layer.bias
        layer.weight, layer.bias = weight, bias  # type: ignore[assignment]
        logits = known @ weight.T + bias
        batch = Batch(torch.zeros(4, 3, 1, 1), labels, torch.arange(4), logits, known, layer, random())
        return term.loss(batch, shell, outliers)

    known = features(4, seed=5)[labels, torch.arange(4)].double().requires_grad_()
    inputs = (known, head.weight.detach().requires_grad_(), head.bias.detach().requires_grad_())
    with pytest.MonkeyPatch.context() as patched:
        margin = torch.tensor([0.0, 0.7], dtype=torch.float64)
        patched.setattr(Tensor, "quantile", lambda *_: margin)
        assert float(value(*inputs).detach()) > 0
        assert torch.autograd.gradcheck(value, inputs)


def filled(term: ShellSynthesis, network: Any, **more: Any) -> Tensor:
    """The loss of a batch after one that fills the queues of three classes."""
    term(batch_of(network, LABELS, progress=0.0))
    loss: Tensor = term(batch_of(network, LABELS, progress=0.5, **more))["shell_outliers"]
    return loss


@pytest.mark.parametrize("width", [8, 16])
@pytest.mark.parametrize("loss", ["energy", "mahalanobis", "logistic"])
def test_the_loss_begins_with_full_queues_and_reaches_the_network(loss: Any, width: int) -> None:
    torch.manual_seed(0)
    network = build(Network(name="resnet8", width=width), 3, seed=0)
    settings = ShellOutliers(**(SMALL | {"calibration": "pooled", "start": 0.4, "loss": loss}))
    term = ShellSynthesis(settings, network.head.in_features, 3)
    early = term(batch_of(network, LABELS[:12], progress=0.9))["shell_outliers"]
    assert float(early.detach()) == 0  # four of each class
    assert float(term(batch_of(network, LABELS, progress=0.3))["shell_outliers"].detach()) == 0
    begun = term(batch_of(network, LABELS, progress=0.4))["shell_outliers"]
    assert float(begun.detach()) > 0
    assert reaches(network, begun)
    assert (network.head.weight.grad is None) == (loss == "mahalanobis")
    own = {"shell.log_weights", "shell.logistic.weight", "shell.logistic.bias"} if loss == "logistic" else set()
    assert set(learned(nn.ModuleDict({"shell": term}))) == own


def test_the_shell_is_fitted_anew_after_its_steps() -> None:
    torch.manual_seed(0)
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    term = ShellSynthesis(ShellOutliers(**SMALL, calibration="pooled", refit=3), network.head.in_features, 3)
    bounds = []
    for step in range(5):
        with torch.no_grad():
            network.stem[0].weight.mul_(1.1)
            network.head.weight.mul_(1.0 + step)
        network.eval()
        term(batch_of(network, LABELS))
        bounds.append(term.get_buffer("means").clone())
    same = [torch.equal(one, other) for one, other in zip(bounds[1:], bounds, strict=False)]
    assert same == [True, True, False, True]


def test_features_that_are_not_finite_make_the_loss_say_so() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    term = ShellSynthesis(ShellOutliers(**SMALL, calibration="pooled"), network.head.in_features, 3)
    wrong = torch.full((24, network.head.in_features), torch.nan)
    assert filled(term, network, features=wrong).isnan()


def test_features_that_are_all_alike_have_no_outliers() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    term = ShellSynthesis(ShellOutliers(**SMALL, calibration="pooled"), network.head.in_features, 3)
    for _ in range(2):
        alike = torch.ones((24, network.head.in_features))
        loss = term(batch_of(network, LABELS, features=alike))["shell_outliers"]
    assert float(loss.detach()) == 0


def test_a_class_of_one_feature_and_dead_coordinates() -> None:
    """One class's features are all alike, and a coordinate is zero for all: the other classes have outliers."""
    queue = features(40)
    queue[0] = queue[0, :1]
    queue[:, :, 3] = 0
    shell = shell_of(queue, calibration="class", inner=0.5, outer=0.9)
    outliers = shell.drawn(10, "each", random())
    assert outliers.shape == (20, 5)
    assert outliers.isfinite().all()
    assert (outliers[:, 3].abs() > 0).any()  # no ID feature is ever there


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"queue": 60}, "outer 0.99 needs 99 calibration features, and half a queue has 30; raise queue to 198"),
        ({"inner": 0.99, "outer": 0.95}, "inner 0.99 must lie below outer 0.95"),
        ({"inner": 95}, "less than 1"),
    ],
)
def test_shells_that_cannot_be(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ShellOutliers(**more)


def test_pooled_quantiles_need_enough_features_of_all_classes() -> None:
    settings = ShellOutliers(queue=60, calibration="pooled")
    ShellSynthesis(settings, 4, 4)
    with pytest.raises(SynthoodError, match="needs 99 calibration features, and half a queue has 90 of all classes"):
        ShellSynthesis(settings, 4, 3)

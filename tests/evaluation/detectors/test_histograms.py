"""Counting detectors by loops, numpy's histograms and autograd."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synthood.common.seeds import generator
from synthood.evaluation.detectors import histograms
from synthood.evaluation.detectors.histograms import Nac, WeiPer
from synthood.evaluation.features import Features, Reference
from toy_features import CLASSES, WIDTH, chosen


def test_histogram_is_numpys() -> None:
    values = torch.randn((5, 40), generator=torch.Generator().manual_seed(0)).double()
    found = histograms.histogram(values, 7, -1.5, 1.5)
    for row, shares in zip(values.numpy(), found, strict=True):
        expected, _ = np.histogram(np.clip(row, -1.5, 1.5), bins=7, range=(-1.5, 1.5))
        assert shares.tolist() == pytest.approx((expected / 40).tolist())


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_smoothing_is_a_running_mean(size: int) -> None:
    shares = torch.rand((3, 9), generator=torch.Generator().manual_seed(0))
    for row, found in zip(shares, histograms.smoothed(shares, size), strict=True):
        padded = [0.0] * ((size - 1) // 2) + row.tolist() + [0.0] * (size // 2)
        assert found.tolist() == pytest.approx([sum(padded[i : i + size]) / size for i in range(9)])


def test_divergence_by_hand() -> None:
    """Of (3/4, 1/4) and (1/4, 3/4) after a floor of one half: (1/2) ln 3 twice."""
    found = histograms.divergence(torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]), floor=0.5)
    assert found.tolist() == pytest.approx([np.log(3), 0.0])


def test_weiper_step_by_step(reference: Reference, near: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    """With explicit perturbed heads, one after the other, on ten samples; in pieces of seven."""
    x = chosen(near, torch.arange(10))
    noise = F.normalize(torch.randn((3, CLASSES, WIDTH), generator=generator("weiper", 3)), dim=2)
    heads = [reference.weight + 1.5 * reference.weight.norm(dim=1)[:, None] * one for one in noise]

    def values(features: torch.Tensor) -> torch.Tensor:
        return torch.cat([F.linear(features, head, reference.bias) for head in heads], 1)

    sure = torch.stack([F.linear(x.features, head, reference.bias).softmax(1).amax(1) for head in heads]).mean(0)
    expected = 0.5 * sure
    for make, weight, floor in ((lambda h: h, 1.0, 0.01), (values, 2.0, 0.025)):
        train = make(reference.train.features)
        ends = (float(train.min()), float(train.max()))
        mean = histograms.histogram(train, 10, *ends).mean(0)
        own = histograms.smoothed(histograms.histogram(make(x.features), 10, *ends), 3)
        expected = expected - weight * histograms.divergence(mean, own, floor)
    monkeypatch.setattr(histograms, "VALUES", 3 * CLASSES * 7)
    found = WeiPer(distance=1.5, repeats=3, bins=10, smoothing=3, logits=2.0, msp=0.5).fit(reference)(x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_weiper_is_the_same_on_every_run(reference: Reference, near: Features) -> None:
    one, other = (WeiPer(repeats=4).fit(reference)(near) for _ in range(2))
    assert torch.equal(one, other)


def test_nac_by_autograd_and_loops(reference: Reference, near: Features) -> None:
    def states(x: Features) -> torch.Tensor:
        h = x.features.clone().requires_grad_()
        loss = -F.linear(h, reference.weight, reference.bias).log_softmax(1).mean(1).sum()
        (gradient,) = torch.autograd.grad(loss, h)
        return (30 * x.features * gradient).sigmoid()

    train, test = states(reference.train), states(chosen(near, torch.arange(20)))
    found = Nac(bins=10, steepness=30.0, enough=25.0).fit(reference)(near)
    for index, row in enumerate(test):
        covered = []
        for unit, state in enumerate(row):
            cell = min(int(state * 10), 9)
            in_cell = ((train[:, unit] * 10).long().clamp(max=9) == cell).sum()
            covered.append(min(1.0, float(in_cell) / 25))
        assert found[index].item() == pytest.approx(np.mean(covered), abs=1e-2)

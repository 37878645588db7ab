"""Gram matrices: row sums by the matrices themselves, ranges and deviations by brute force, beside pytorch-ood."""

import numpy as np
import pytest
import torch
from pytorch_ood.detector import Gram as Oracle
from scipy.stats import spearmanr
from torch.utils.data import DataLoader, TensorDataset

from synthood.evaluation.detectors.of_model.gram import GramMethod, row_sums
from synthood.evaluation.probe import BatchView
from synthood.training.networks.model import inputs_of
from toy_models import CLASSES, classifier, pictures, probe_of

MODEL = classifier()
PROBE = probe_of(MODEL)


def look(count: int, seed: int, contrast: float = 1.0) -> BatchView:
    images = pictures(count, seed, contrast).images
    return BatchView(PROBE, next(inputs_of(MODEL, images, torch.device("cpu"), count)))


def test_row_sums_are_those_of_the_matrices() -> None:
    maps = torch.randn((5, 4, 3, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = row_sums(maps, 4)
    for p in (1, 2, 3, 4):
        power = maps.flatten(2) ** p
        sums = (power @ power.mT).sum(2)
        torch.testing.assert_close(found[:, p - 1], sums.sign() * sums.abs() ** (1 / p))


def test_high_powers_of_large_and_of_no_activations_are_finite() -> None:
    maps = torch.stack([torch.full((2, 3, 3), 1e4), torch.zeros(2, 3, 3)])
    found = row_sums(maps, 10)
    assert found.isfinite().all()
    assert found[1].abs().max() == 0
    assert found[0, 9, 0].item() == pytest.approx(1e8 * 18**0.1, rel=1e-4)


def test_deviations_by_brute_force() -> None:
    method = GramMethod(PROBE, [{"powers": 2}, {"powers": 3}])
    train, test = [look(20, 1), look(13, 2)], look(9, 3, contrast=2.0)
    for each in train:
        method.observe(each, torch.zeros(len(each.inputs)).long())
    method.observed()
    layers = [torch.cat(pair) for pair in zip(*(method.statistics(each.mapped) for each in train), strict=True)]
    predicted = torch.cat([each.mapped.logits.argmax(1) for each in train])
    for powers in (2, 3):
        found = method.statistic(test, {"powers": powers})
        for layer, x in enumerate(method.statistics(test.mapped)):
            for i, c in enumerate(test.mapped.logits.argmax(1).tolist()):
                own = layers[layer][predicted == c] if (predicted == c).any() else layers[layer]
                low, high = own.amin(0)[:powers], own.amax(0)[:powers]
                value = x[i, :powers]
                below = torch.where(value < low, (low - value) / (low.abs() + 1e-6), 0)
                above = torch.where(value > high, (value - high) / (high.abs() + 1e-6), 0)
                assert found[i, layer].item() == pytest.approx((below + above).sum().item(), rel=1e-4, abs=1e-5)
    inside = torch.tensor([[2.0, 0.0], [4.0, 0.0]])
    rule = method.scorer({"powers": 2}, method.state({"powers": 2}, inside, None))
    assert rule(torch.tensor([[3.0, 5.0]])).tolist() == [-(3 / 3 + 5)]


def test_training_images_do_not_deviate() -> None:
    method = GramMethod(PROBE, [{"powers": 3}])
    train = look(20, 1)
    method.observe(train, torch.zeros(20).long())
    method.observed()
    assert method.statistic(train, {"powers": 3}).abs().max() == 0


def test_a_class_that_was_never_predicted_has_the_range_of_all() -> None:
    method = GramMethod(PROBE, [{"powers": 1}])
    train = look(20, 1)
    train.mapped.logits[:, 2] = -1000.0
    method.observe(train, torch.zeros(20).long())
    method.observed()
    for low, high, x in zip(method.low, method.high, method.statistics(train.mapped), strict=True):
        assert torch.equal(low[2], x.amin(0))
        assert torch.equal(high[2], x.amax(0))


def test_the_order_of_pytorch_ood() -> None:
    """On the blocks' maps, with labels that are the predictions and too few of each to hold any out."""
    train, test = look(26, 1), look(40, 2, contrast=2.0)
    layers = list(PROBE.blocks)

    def head(maps: torch.Tensor) -> torch.Tensor:
        return PROBE.head(maps.mean((2, 3)))

    predicted = train.mapped.logits.argmax(1)
    order = torch.cat([(predicted == c).nonzero()[:9, 0] for c in range(len(CLASSES))])
    chosen, labels = train.inputs[order], predicted[order]
    # The oracle wants samples of every class; those that are never predicted have a range nobody looks up.
    missing = [c for c in range(len(CLASSES)) if not (labels == c).any()]
    data = TensorDataset(
        torch.cat([chosen, chosen[: len(missing)]]), torch.cat([labels, torch.tensor(missing, dtype=torch.long)])
    )
    oracle = Oracle(head, layers, len(CLASSES), num_poles_list=[1, 2, 3]).to("cpu")
    oracle.fit(DataLoader(data, batch_size=8))
    method = GramMethod(PROBE, [{"powers": 3}])
    monkey = method.statistics
    method.statistics = lambda run: monkey(run)[len(run.convolved) :]
    method.observe(BatchView(PROBE, chosen), labels)
    method.observed()
    kept = ~torch.isin(test.mapped.logits.argmax(1), torch.tensor(missing, dtype=torch.long))
    ours = method.statistic(test, {"powers": 3}).sum(1)[kept]
    theirs = oracle.predict(test.inputs).detach()[kept]
    assert len(ours) > 10
    assert spearmanr(ours, theirs).statistic > 0.999
    np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2)

"""Distances of every stage: moments by hand, layers beside `mds`, the step by autograd, the regression."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from synthood.evaluation.detectors.distances import Mds
from synthood.evaluation.detectors.of_model.mds_ensemble import MdsEnsembleMethod, Moments
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.probe import BatchView
from synthood.training.networks.model import inputs_of
from toy_models import classifier, pictures, probe_of

MODEL = classifier()
PROBE = probe_of(MODEL)
TRAIN = pictures(60, 1)


def look(count: int, seed: int) -> BatchView:
    return BatchView(PROBE, next(inputs_of(MODEL, pictures(count, seed).images, torch.device("cpu"), count)))


@pytest.fixture(scope="module")
def method() -> MdsEnsembleMethod:
    result = MdsEnsembleMethod(PROBE, [{"noise": 0.0}])
    for first in (0, 37):
        part = slice(first, first + 37)
        inputs = next(inputs_of(MODEL, TRAIN.images[part], torch.device("cpu"), 60))
        result.observe(BatchView(PROBE, inputs), torch.from_numpy(TRAIN.labels[part]))
    result.observed()
    return result


def test_moments_in_batches_are_those_of_all() -> None:
    z = torch.randn((50, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1000
    labels = torch.arange(50) % 3 + (torch.arange(50) % 3 == 2)  # classes 0, 1 and 3 of five
    moments = Moments(z[:7], 5)
    for first in range(0, 50, 7):
        moments.add(z[first : first + 7], labels[first : first + 7])
    means = torch.stack([z[labels == c].mean(0) for c in (0, 1, 3)])
    torch.testing.assert_close(moments.means(), means)
    centred = z - means[torch.tensor([0, 1, 9, 2])[labels]]
    torch.testing.assert_close(moments.within(), centred.mT @ centred / 50)


def test_without_noise_each_layer_is_mds_of_its_mean_features(method: MdsEnsembleMethod) -> None:
    whole = BatchView(PROBE, next(inputs_of(MODEL, TRAIN.images, torch.device("cpu"), 60)))
    test = look(15, 2)
    found = method.statistic(test, {"noise": 0.0})
    assert found.shape == (15, 4)
    labels = torch.from_numpy(TRAIN.labels)
    for layer, (z, own) in enumerate(zip(method.layers(whole.mapped), method.layers(test.mapped), strict=True)):
        zeros = torch.zeros(len(z), 3)
        part = Features(zeros, z.float(), labels)
        score = Mds().fit(Reference(part, part, torch.zeros(3, z.shape[1]), torch.zeros(3)))
        expected = score(Features(zeros[:15], own.float(), labels[:15]))
        torch.testing.assert_close(found[:, layer].float(), expected, rtol=1e-2, atol=1e-2)


def test_the_step_raises_each_layer_s_own_confidence(method: MdsEnsembleMethod) -> None:
    test, noise = look(6, 2), 0.002
    found = method.statistic(test, {"noise": noise})
    for layer in range(4):
        x = test.inputs.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(method.distance(PROBE.run(x, mapped=True), layer).sum(), x)
        step = noise * gradient.sign() / torch.tensor(MODEL.deviation).view(1, 3, 1, 1)
        expected = method.distance(PROBE.run(test.inputs + step, mapped=True), layer)
        torch.testing.assert_close(found[:, layer], expected)
    assert (found > method.statistic(test, {"noise": 0.0})).float().mean() > 0.9


def test_the_regression_weights_the_layer_that_tells(method: MdsEnsembleMethod) -> None:
    random = torch.Generator().manual_seed(0)
    inside, outside = (torch.randn((200, 4), generator=random, dtype=torch.float64) for _ in range(2))
    outside[:, 2] -= 3
    inside[:, 1] = outside[:, 1] = 5.0  # constant
    rule = method.scorer({"noise": 0.0}, method.state({"noise": 0.0}, inside, outside))
    scores = torch.cat([rule(inside), rule(outside)])
    assert scores.dtype == torch.float32
    assert roc_auc_score(np.repeat([1, 0], 200), scores) > 0.97
    assert roc_auc_score(np.repeat([1, 0], 200), torch.cat([inside, outside])[:, 0]) < 0.6


def test_the_stem_and_the_last_map_of_every_stage(method: MdsEnsembleMethod) -> None:
    run = look(2, 3).mapped
    assert [tuple(z.shape) for z in method.layers(run)] == [(2, 8), (2, 8), (2, 16), (2, 32)]
    torch.testing.assert_close(method.layers(run)[-1].float(), run.features)
    assert F.relu(run.maps[-1]).equal(run.maps[-1])

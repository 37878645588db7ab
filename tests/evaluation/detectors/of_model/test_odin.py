"""ODIN and iODIN: by hand on a linear model, beside pytorch-ood, and with as few passes as its grid needs."""

import math

import numpy as np
import pytest
import torch
from pytorch_ood.detector import ODIN
from scipy.stats import spearmanr

from synthood.evaluation.detectors.of_model.odin import IodinMethod, OdinMethod, likeliest
from synthood.evaluation.probe import BatchView
from synthood.training.networks.model import inputs_of
from toy_models import Flat, classifier, pictures, probe_of


def look(model, count: int = 12) -> BatchView:
    return BatchView(probe_of(model), next(inputs_of(model, pictures(count, 4).images, torch.device("cpu"), count)))


def odds(logits: np.ndarray, temperature: float) -> np.ndarray:
    p = np.exp(logits / temperature) / np.exp(logits / temperature).sum(1, keepdims=True)
    most = p.max(1)
    return temperature * (np.log(most / (1 - most)) + math.log(logits.shape[1] - 1))


@pytest.mark.parametrize("temperature", [1.0, 10.0, 1000.0])
@pytest.mark.parametrize("kind", [OdinMethod, IodinMethod])
def test_a_linear_model_by_hand(kind, temperature: float) -> None:
    """The gradient of log p_y is (w_y - sum_k p_k w_k) / T."""
    torch.manual_seed(0)
    model = classifier(Flat(3 * 16 * 16))
    seen = look(model)
    values = {"temperature": temperature, "noise": 0.02}
    found = kind(seen.probe, [values]).statistic(seen, values)
    weight, bias = (each.detach().numpy().astype(np.float64) for each in model.network.head.parameters())
    x = seen.inputs.flatten(1).numpy().astype(np.float64)
    logits = x @ weight.T + bias
    p = np.exp(logits / temperature) / np.exp(logits / temperature).sum(1, keepdims=True)
    gradient = (weight[logits.argmax(1)] - p @ weight) / temperature
    step = np.sign(gradient)
    if kind is IodinMethod:
        step *= np.arange(x.shape[1]) == np.abs(gradient).argmax(1)[:, None]
        assert (np.abs(step).sum(1) == 1).all()
    deviation = np.repeat([0.2, 0.25, 0.3], 256)
    moved = (x + 0.02 * step / deviation) @ weight.T + bias
    np.testing.assert_allclose(found.numpy(), odds(moved, temperature), rtol=1e-3, atol=1e-4)


def test_the_order_is_that_of_the_maximum_of_the_softmax() -> None:
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    for temperature in (0.5, 1.0, 30.0):
        most = (logits.double() / temperature).softmax(1).amax(1)
        assert likeliest(logits, temperature).argsort().tolist() == most.argsort().tolist()
    close = torch.tensor([[1.0, 0.0, 0.0], [1.0001, 0.0, 0.0]])
    assert likeliest(close, 1000.0)[0] < likeliest(close, 1000.0)[1]
    sure = torch.tensor([[60.0, 0.0, 0.0], [70.0, 0.0, 0.0]])
    assert likeliest(sure, 1.0)[0] < likeliest(sure, 1.0)[1]


@pytest.mark.parametrize(("temperature", "noise"), [(1.0, 0.0014), (10.0, 0.0028), (1.0, 0.02)])
def test_the_order_of_pytorch_ood(temperature: float, noise: float) -> None:
    model = classifier()
    seen = look(model, 40)
    values = {"temperature": temperature, "noise": noise}
    found = OdinMethod(seen.probe, [values]).statistic(seen, values)
    oracle = ODIN(model.network, eps=noise, temperature=temperature, norm_std=model.deviation)
    theirs = -oracle.predict(seen.inputs).detach()
    assert spearmanr(found, theirs).statistic > 0.9999


def test_a_grid_takes_one_gradient_for_each_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    """And iODIN takes none beside ODIN's."""
    model, count = classifier(), []
    seen = look(model)
    grid = [{"temperature": t, "noise": e} for t in (1.0, 1000.0) for e in (0.001, 0.002)]
    real = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: count.append(1) or real(*a, **k))
    for kind in (OdinMethod, IodinMethod):
        method = kind(seen.probe, grid)
        for values in grid:
            method.statistic(seen, values)
    assert len(count) == 2

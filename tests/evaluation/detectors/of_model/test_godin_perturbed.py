"""G-ODIN's score after a step of the image, by hand on a linear model and by finite differences on a network."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthood.config.detection import asked_of
from synthood.config.load import load
from synthood.evaluation.detectors.of_model.godin import PerturbedGodin, PerturbedGodinMethod
from synthood.evaluation.probe import BatchView
from synthood.training.networks.model import inputs_of
from toy_models import Flat, classifier, pictures, probe_of


def look(model: Any, count: int = 12) -> BatchView:
    return BatchView(probe_of(model), next(inputs_of(model, pictures(count, 4).images, torch.device("cpu"), count)))


def numerators(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, form: str) -> np.ndarray:
    logits = x @ weight.T + bias
    squares = (x**2).sum(1, keepdims=True)
    shared: np.ndarray = {"inner": logits, "euclid": logits - squares, "cosine": logits / np.sqrt(squares)}[form]
    return shared


@pytest.mark.parametrize("score", ["h", "softmax"])
@pytest.mark.parametrize("form", ["inner", "euclid", "cosine"])
def test_a_linear_model_by_hand(form: str, score: str) -> None:
    """Gradients of w.x, w.x - |x|^2 and w.x / |x| in x; the model's features are its inputs."""
    torch.manual_seed(0)
    model = classifier(Flat(3 * 16 * 16))
    seen = look(model)
    values = {"noise": 0.02, "score": score, "similarity": form}
    found = PerturbedGodinMethod(seen.probe, [values]).statistic(seen, values)
    weight, bias = (each.detach().numpy().astype(np.float64) for each in model.network.head.parameters())
    x = seen.inputs.flatten(1).numpy().astype(np.float64)
    best = numerators(x, weight, bias, form).argmax(1)
    own, length = weight[best], np.linalg.norm(x, axis=1, keepdims=True)
    logit = (x * own).sum(1, keepdims=True) + bias[best, None]
    gradient = {"inner": own, "euclid": own - 2 * x, "cosine": own / length - logit * x / length**3}[form]
    moved = x + 0.02 * np.sign(gradient) / np.repeat([0.2, 0.25, 0.3], 256)
    h = numerators(moved, weight, bias, form)
    if score == "h":
        np.testing.assert_allclose(found.numpy(), h.max(1), rtol=1e-4, atol=1e-4)
        return
    # As OpenOOD has it: the largest softmax of h, whose log odds have its order
    most = (np.exp(h - h.max(1, keepdims=True)) / np.exp(h - h.max(1, keepdims=True)).sum(1, keepdims=True)).max(1)
    assert found.numpy().argsort().tolist() == most.argsort().tolist()


def test_without_noise_it_is_the_largest_h() -> None:
    model = classifier()
    seen = look(model)
    values = {"noise": 0.0, "score": "h", "similarity": "cosine"}
    found = PerturbedGodinMethod(seen.probe, [values]).statistic(seen, values)
    run = seen.plain
    torch.testing.assert_close(found, (run.logits / run.features.norm(dim=1, keepdim=True)).amax(1))


@given(st.sampled_from([0.001, 0.0025, 0.005]))
def test_a_small_step_raises_the_score_of_most_images(noise: float) -> None:
    """It goes along the gradient's sign."""
    seen = look(classifier(), 30)
    values = {"noise": noise, "score": "h", "similarity": "cosine"}
    method = PerturbedGodinMethod(seen.probe, [values])
    raised = method.statistic(seen, values) > method.statistic(seen, values | {"noise": 0.0})
    assert raised.float().mean() > 0.9


def test_the_recipe_says_which_similarity(demo: Any) -> None:
    """And a recipe of the table without G-ODIN is not scored by it."""
    demo["recipes"]["godin"] = {"like": "ce", "normalisation": {"kind": "godin", "similarity": "inner"}}
    demo["detectors"]["perturbed"] = {"kind": "godin-perturbed", "noise": 0.01}
    table = demo["tables"]["demo-sio"]
    table |= {"recipes": ["ce"], "detectors": ["msp"], "baselines": ["ce"]}
    table["own_detectors"] = [{"detector": "perturbed", "recipes": {"ce": "godin"}}]
    config = load(demo)
    assert asked_of(config, "digits", "ce", "0", "gradients") == {}
    found = asked_of(config, "digits", "godin", "0", "gradients")
    assert found == {"perturbed": PerturbedGodin(noise=0.01, similarity="inner")}
    table |= {"detectors": ["msp", "perturbed"]}
    with pytest.raises(Exception, match="'perturbed' reads what `godin` trains, which recipe 'ce' does not have"):
        load(demo)

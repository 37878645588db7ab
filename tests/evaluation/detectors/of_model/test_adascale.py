"""AdaSCALE: sample by sample from its definition, the moved values, and percentiles that cannot be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synthood.evaluation.detectors.of_model.adascale import AdaScaleMethod, ratio, shift
from synthood.evaluation.hyperparameters import OutOfRangeError
from synthood.evaluation.probe import BatchView
from synthood.training.networks.model import inputs_of
from toy_models import Flat, classifier, pictures, probe_of

VALUES = {
    "variant": "a",
    "low": 60.0,
    "high": 90.0,
    "strongest": 20.0,
    "shifting": 10.0,
    "shift_weight": 10.0,
    "pixels": 0.05,
}


def evidence(count: int, seed: int, width: int = 32) -> torch.Tensor:
    """Features and shifted features, some of them zero."""
    random = torch.Generator().manual_seed(seed)
    h = torch.randn((count, width), generator=random).relu()
    return torch.cat([h, (h + 0.2 * torch.randn((count, width), generator=random)).relu()], 1)


@pytest.mark.parametrize("variant", ["a", "l"])
def test_each_sample_from_the_definition(variant: str) -> None:
    model = classifier()
    method = AdaScaleMethod(probe_of(model), [])
    inside, test = evidence(40, 1), evidence(9, 2)
    values = VALUES | {"variant": variant}
    found = method.scorer(values, method.state(values, inside, None))(test)
    weight, bias = (each.detach() for each in model.network.head.parameters())

    def q(row: torch.Tensor) -> float:
        h, moved = row[:32], row[32:]
        order = h.argsort(descending=True)
        strongest, shifting = order[:6], order[:3]
        return float(moved[strongest].sum() + 10 * (moved[shifting] - h[shifting]).abs().sum())

    known = np.array([q(row) for row in inside])
    for row, score in zip(test, found.tolist(), strict=True):
        h = row[:32]
        percentile = 60 + (1 - np.mean(known <= q(row) + 1e-5)) * 30
        keep = 32 - round(32 * percentile / 100)
        r = h.sum() / h.sort(descending=True).values[:keep].sum()
        logits = F.linear(h * r.exp(), weight, bias) if variant == "a" else r**2 * F.linear(h, weight, bias)
        assert score == pytest.approx(float(logits.logsumexp(0)), rel=1e-4)


def test_the_values_of_smallest_gradient_move_along_its_sign() -> None:
    torch.manual_seed(0)
    model = classifier(Flat(3 * 16 * 16))
    look = BatchView(probe_of(model), next(inputs_of(model, pictures(5, 1).images, torch.device("cpu"), 5)))
    found = AdaScaleMethod(look.probe, []).statistic(look, VALUES)
    x = look.inputs.flatten(1)
    gradient = model.network.head.weight.detach()[look.plain.logits.argmax(1)]
    least = gradient.abs().argsort(1)[:, : int(0.05 * 768)]
    expected = x.scatter_add(1, least, 0.5 * gradient.gather(1, least).sign())
    torch.testing.assert_close(found, torch.cat([x, expected], 1))


def test_samples_without_activation_and_narrow_features_are_defined() -> None:
    assert ratio(torch.zeros(2, 8), torch.tensor([60.0, 99.0])).tolist() == [[1.0], [1.0]]
    assert ratio(torch.tensor([[4.0, 2.0, 1.0, 1.0]]), torch.tensor([99.0])).item() == 2.0
    one = torch.tensor([[3.0, 1.0, 5.0, 1.0]])  # two features; of 1 % of two, one counts
    assert shift(one, VALUES | {"strongest": 1.0, "shifting": 1.0}).item() == 5.0 + 10 * 2.0


def test_a_low_percentile_that_is_not_below_the_high_one_is_out_of_range() -> None:
    method = AdaScaleMethod(probe_of(classifier()), [])
    with pytest.raises(OutOfRangeError, match="adascale: low 90 is not below high 90"):
        method.state(VALUES | {"low": 90.0}, evidence(4, 1), None)

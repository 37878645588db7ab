"""G-ODIN: numerators, confidence, and a last layer whose logits rank classes alike."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.training.methods.godin import DividedConfidence, Godin, numerators, of_logits
from synthood.training.methods.term import ForwardOutputs
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from toy_training import batch_of, normal, random, reaches

FORMS = ["inner", "euclid", "cosine"]
LABELS = torch.tensor([0, 1, 2, 0])


def layer(width: int = 5, classes: int = 3) -> nn.Linear:
    made = nn.Linear(width, classes)
    with torch.no_grad():
        made.weight.copy_(torch.randn((classes, width), generator=random()))
        made.bias.copy_(torch.randn(classes, generator=random(1)))
    return made


def term_of(form: str, width: int = 5) -> DividedConfidence:
    torch.manual_seed(0)
    return DividedConfidence(Godin.model_validate({"kind": "godin", "similarity": form}), width)


def product(one: list[float], other: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def by_hand(f: list[float], w: list[float], b: float, form: str) -> float:
    """One numerator; under `euclid` the class's point is half its weights."""
    if form == "cosine":
        return product(f, w) / math.hypot(*f) / math.hypot(*w)
    if form == "euclid":
        return -(math.dist(f, [v / 2 for v in w]) ** 2)
    return product(f, w) + b


@pytest.mark.parametrize("form", FORMS)
def test_cross_entropy_sees_numerators_over_confidence(form: str) -> None:
    head, term = layer(), term_of(form)
    features = torch.randn((4, 5), generator=random(2))
    batch = batch_of(build(Network(name="resnet8", width=8), 3, seed=0), LABELS)
    given = type(batch)(**(vars(batch) | {"features": features, "head": head}))
    found = term.adjust_logits(batch.logits, given)
    raw = [product(f, term.layer.weight[0].tolist()) + term.layer.bias.item() for f in features.tolist()]
    mean = math.fsum(raw) / 4
    variance = math.fsum((r - mean) ** 2 for r in raw) / 4
    for row, f in enumerate(features.tolist()):
        g = 1 / (1 + math.exp(-(raw[row] - mean) / math.sqrt(variance + 1e-5)))
        for k in range(3):
            h = by_hand(f, head.weight[k].tolist(), head.bias[k].item(), form)
            assert found[row, k].item() == pytest.approx(h / g, abs=1e-5, rel=1e-5)
    assert term(given) == {}


@pytest.mark.parametrize("form", FORMS)
def test_gradient_of_features_and_weights(form: str) -> None:
    term, head = term_of(form).double(), layer().double()

    def quotient(features: Tensor, weight: Tensor, bias: Tensor, gate: Tensor) -> Tensor:
        own = nn.Linear(5, 3).double()
        del own.weight, own.bias
        own.weight, own.bias = weight, bias  # type: ignore[assignment]
        raw = F.batch_norm(features @ gate.T, None, None, training=True)
        return numerators(features, own, form) / torch.sigmoid(raw)

    leaves = (normal(4, 5), normal(3, 5, seed=1), normal(3, seed=2), normal(1, 5, seed=3))
    assert torch.autograd.gradcheck(quotient, leaves)
    assert torch.autograd.gradcheck(lambda f: numerators(f, head, form) / term.confidence(f), normal(4, 5))


@pytest.mark.parametrize("form", FORMS)
def test_the_loss_reaches_the_network_and_the_confidence(form: str) -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    term = term_of(form, network.head.in_features)
    batch = batch_of(network, LABELS)
    assert reaches(network, F.cross_entropy(term.adjust_logits(batch.logits, batch), LABELS))
    assert network.head.weight.grad is not None
    assert float(network.head.weight.grad.abs().max()) > 0
    assert all(p.grad is not None for p in term.parameters())


@pytest.mark.parametrize("form", FORMS)
def test_a_settled_layer_gives_the_numerators_up_to_what_classes_share(form: str) -> None:
    head = layer()
    features = torch.randn((6, 5), generator=random(2))
    before = numerators(features, head, form)
    term_of(form).after_step(head)
    length = features.norm(dim=1, keepdim=True)
    expected = {"inner": before, "euclid": before + length**2, "cosine": length * before}[form]
    torch.testing.assert_close(head(features), expected)
    torch.testing.assert_close(numerators(features, head, form), before)
    term = term_of(form).eval()
    output = term.readout(ForwardOutputs(features, features, head(features), lambda inputs: inputs))
    torch.testing.assert_close(output[:, 0], before.amax(1))
    torch.testing.assert_close(output[:, 1:], term.confidence(features))


def test_a_batch_of_one_takes_the_running_statistics() -> None:
    term = term_of("inner")
    term.norm.running_mean, term.norm.running_var = torch.tensor([0.5]), torch.tensor([4.0])
    features = torch.randn((1, 5), generator=random())
    raw = float(term.layer(features).detach())
    expected = 1 / (1 + math.exp(-(raw - 0.5) / math.sqrt(4 + 1e-5)))
    assert float(term.train().confidence(features).detach()) == pytest.approx(expected, abs=1e-6)
    assert float(term.eval().confidence(features).detach()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_the_logits_of_the_kept_layer_tell_h(form: str) -> None:
    """After a step, h by the formula is what the network's own logits and features give."""
    head, term = layer(), term_of(form)
    term.after_step(head)
    features = torch.randn((6, 5), generator=random(2))
    logits = head(features).detach()
    torch.testing.assert_close(of_logits(logits, features, form), numerators(features, head, form).detach())

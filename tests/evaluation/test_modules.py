"""Features of any module: what its last linear layer is given, in one pass, and the module left as it was."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from synthood.detectors import KINDS, features_of, fit, head_of, names, score
from synthood.errors import SynthoodError


class Network(nn.Module):
    """Convolution, normalisation, dropout, and a head inside a container; gives its logits in a dictionary."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 4, bias=bias))
        self.aside = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"probabilities": self.classifier(self.body(x)).softmax(1)}


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network().train()


def images(count: int, seed: int = 0) -> Tensor:
    return torch.rand((count, 3, 8, 8), generator=torch.Generator().manual_seed(seed))


def test_logits_and_features_are_those_of_the_last_layer(network: Network) -> None:
    x, labels = images(10), torch.arange(10) % 4
    found = features_of(network, "classifier.2", DataLoader(TensorDataset(x, labels), batch_size=4))
    with torch.no_grad():
        network.eval()
        features = network.body(x).flatten(1)
        torch.testing.assert_close(found[1], features)
        torch.testing.assert_close(found[0], network.classifier(features))
    assert torch.equal(found[2], labels)
    assert not any(tensor.requires_grad for tensor in found)


def test_the_module_is_left_as_it_was(network: Network) -> None:
    network.body[1].eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for batches, error in (([images(4)], None), ([images(4)[:, :1]], RuntimeError)):
        if error is None:
            features_of(network, "classifier.2", batches)
        else:
            with pytest.raises(error):
                features_of(network, "classifier.2", batches)
        assert (network.training, network.body[1].training, network.classifier.training) == (True, False, True)
        assert not network.classifier[2]._forward_hooks
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_inputs_without_labels(network: Network) -> None:
    assert features_of(network, "classifier.2", [images(3), images(2)])[2].tolist() == [-1] * 5


def test_a_head_without_bias_has_zeros() -> None:
    network = Network(bias=False)
    weight, bias = head_of(network, "classifier.2")
    assert torch.equal(weight, network.classifier[2].weight)
    assert bias.tolist() == [0.0] * 4


@pytest.mark.parametrize("name", [name for name in names() if KINDS[name].reads is None])
def test_every_detector_of_features_from_a_module_and_the_name_of_its_head(network: Network, name: str) -> None:
    train, val = ((images(count, seed), torch.arange(count) % 4) for count, seed in ((120, 1), (40, 2)))
    parts = [features_of(network, "classifier.2", [part]) for part in (train, val)]
    more = {"vim": {"dimension": 3}, "residual": {"dimension": 3}}.get(name, {})
    detector = fit(name, *parts, head_of(network, "classifier.2"), **more)
    logits, features, _ = features_of(network, "classifier.2", [images(7, 3)])
    torch.testing.assert_close(F.linear(features, *head_of(network, "classifier.2")), logits)
    assert score(detector, logits, features).shape == (7,)


@pytest.mark.parametrize(
    ("name", "batches", "message"),
    [
        ("clasifier.2", [images(2)], r"no linear layer 'clasifier\.2'; did you mean 'classifier\.2'"),
        ("body.0", [images(2)], r"no linear layer 'body\.0'"),
        ("aside", [images(2)], "the layer 'aside' is given nothing for 2 inputs"),
        ("classifier.2", [], "no batches"),
    ],
)
def test_mistakes_are_told(name: str, batches: list[Tensor], message: str, network: Network) -> None:
    with pytest.raises(SynthoodError, match=message):
        features_of(network, name, batches)


def test_a_layer_that_sees_tokens_is_not_the_head() -> None:
    tokens = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(SynthoodError, match=r"given \[2, 5, 3\] for 2 inputs; name the one that makes the logits"):
        features_of(tokens, "0", [torch.zeros(2, 5, 3)])

"""Features of any module: what its last linear layer is given, in one pass, and the module left as it was."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from synthood.detectors import KINDS, features_of, fit, head_of, names, score
from synthood.errors import SynthoodError
from synthood.evaluation import modules


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
    for batches, error in (([images(4)], None), ([images(4)[:, :1]], SynthoodError)):
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
        (None, [images(2)], "no linear layer 'None'"),
        ("classifier.2", None, "expected batches of inputs, such as a DataLoader, got NoneType"),
        ("classifier.2", "images", "expected batches of inputs, such as a DataLoader, got str"),
        ("classifier.2", 3, "expected batches of inputs, such as a DataLoader, got int"),
        ("classifier.2", images(2)[0], r"the model fails on batch 0, torch.float32 \[3, 8, 8\]: "),
        (
            "classifier.2",
            images(2).mul(255).byte(),
            r"the model fails on batch 0, torch.uint8 \[2, 3, 8, 8\]: ",
        ),
        ("classifier.2", [images(2), images(2)[:, :1]], r"the model fails on batch 1, torch.float32 \[2, 1, 8, 8\]: "),
        ("classifier.2", [["a.png", "b.png"]], r"expected a batch of inputs as a tensor \[N,...\], got str"),
        (
            "classifier.2",
            [{"pixels": images(2)}],
            "a batch has the keys pixels; expected its inputs as one of",
        ),
        ("classifier.2", [(images(2), ["cat", "dog"])], "batch 0: labels are text; give class numbers"),
        ("classifier.2", [(images(2), [0, 1, 2])], r"batch 0: expected a label for each of 2 samples, got \[3\]"),
        ("classifier.2", [(images(2), images(2), [0, 1])], r"a label for each of 2 samples, got \[2, 3, 8, 8\]"),
        ("classifier.2", [(images(2), torch.eye(2))], r"got \[2, 2\]; of one-hot labels take argmax\(1\)"),
        ("classifier.2", [(images(2), [0.0, 0.5])], "batch 0: label 0.5 is not a class number"),
    ],
)
def test_mistakes_are_told(name: Any, batches: Any, message: str, network: Network) -> None:
    with pytest.raises(SynthoodError, match=message):
        features_of(network, name, batches)


Y = [2, 0, 1, 3, 1]
FORMS: dict[str, Callable[[Tensor], Any]] = {
    "pairs": lambda x: [(x[:3], Y[:3]), [x[3:], torch.tensor(Y[3:])]],
    "three items": lambda x: [(x, torch.tensor(Y), torch.arange(5))],
    "labels as floats in a column": lambda x: [(x, torch.tensor(Y)[:, None].float())],
    "dictionaries": lambda x: [{"image": x[:2], "label": Y[:2]}, {"pixel_values": x[2:], "labels": np.array(Y[2:])}],
    "a loader": lambda x: DataLoader(TensorDataset(x, torch.tensor(Y)), batch_size=2),
    "a data set": lambda x: TensorDataset(x, torch.tensor(Y)),
    "a data set of pairs": lambda x: DataLoader(list(zip(x, Y, strict=True)), batch_size=4),
    "all at once": lambda x: (x, torch.tensor(Y)),
    "all at once, a list": lambda x: [x.numpy(), Y],
    "all at once, by keys": lambda x: {"x": x, "y": Y},
    "numpy": lambda x: [(x.numpy().astype(np.float64), np.array(Y, np.uint8))],
    "half precision and an empty batch": lambda x: iter([(x.double(), Y), (x[:0], [])]),
}


@pytest.mark.parametrize("form", FORMS)
def test_batches_come_in_any_form(form: str, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "ROWS", 2)
    logits, features, labels = features_of(network, "classifier.2", FORMS[form](images(5)))
    expected = features_of(network, "classifier.2", [images(5)])
    torch.testing.assert_close(logits, expected[0])
    torch.testing.assert_close(features, expected[1])
    assert labels.tolist() == Y


@pytest.mark.parametrize("form", [lambda x: x, lambda x: x.numpy(), lambda x: [(x,)], lambda x: {"inputs": x}])
def test_inputs_alone_in_any_form(form: Callable[[Tensor], Any], network: Network) -> None:
    logits, _, labels = features_of(network, "classifier.2", form(images(5)))
    torch.testing.assert_close(logits, features_of(network, "classifier.2", [images(5)])[0])
    assert labels.tolist() == [-1] * 5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_models_of_other_precisions(dtype: torch.dtype, network: Network) -> None:
    expected = features_of(network, "classifier.2", images(5))
    found = features_of(network.to(dtype), "classifier.2", images(5))
    assert [values.dtype for values in found] == [torch.float32, torch.float32, torch.int64]
    torch.testing.assert_close(found[0], expected[0], rtol=0.02, atol=0.02)
    assert head_of(network, "classifier.2")[0].dtype == torch.float32
    assert score(fit("react", found, found, head_of(network, "classifier.2")), *found[:2]).shape == (5,)


class InPlace(nn.Module):
    """Changes what its last layer was given and gave, and calls it by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3))
        logits: Tensor = self.fc(input=pooled)
        pooled.zero_()
        return logits.mul_(0)


def test_what_comes_after_the_layer_changes_nothing() -> None:
    model = InPlace()
    logits, features, _ = features_of(model, "fc", images(4))
    torch.testing.assert_close(features, images(4).mean((2, 3)))
    torch.testing.assert_close(logits, F.linear(features, *head_of(model, "fc")))


@pytest.mark.parametrize("whole", [True, False])
def test_compiled_models_give_the_features_of_the_model_itself(network: Network, whole: bool) -> None:
    """Compiled before the layer is watched, which compiled code would not notice."""
    if not whole:
        network.classifier.compile(backend="eager")
    compiled: Any = torch.compile(network, backend="eager") if whole else network
    with torch.no_grad():
        compiled(images(5))
        network.eval()
        features = network.body(images(5)).flatten(1)
    for name in ("_orig_mod.classifier.2", "classifier.2"):
        found = features_of(compiled, name, images(5))
        torch.testing.assert_close(found[1], features)
        torch.testing.assert_close(found[0], F.linear(features, *head_of(compiled, name)))


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc(F.dropout(x.mean((2, 3))))
        return found


def test_a_model_that_draws_in_evaluation_is_told() -> None:
    """Functional dropout without `training` goes on; loaders that shuffle draw outside of the model."""
    with pytest.raises(SynthoodError, match="draws random numbers in evaluation mode, so its features"):
        features_of(Noisy(), "fc", images(4))
    loader = DataLoader(TensorDataset(images(4)), shuffle=True)
    assert len(features_of(InPlace(), "fc", loader)[0]) == 4


def test_what_is_no_module_is_told() -> None:
    with pytest.warns(FutureWarning, match="deprecated"):
        traced = torch.jit.trace(nn.Linear(3, 2), torch.ones(1, 3))
    for model in (lambda x: x, traced, None):
        with pytest.raises(SynthoodError, match=r"expected a torch\.nn\.Module whose layers can be watched, got "):
            features_of(model, "fc", images(2))


def test_a_layer_that_sees_tokens_is_not_the_head() -> None:
    tokens = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(SynthoodError, match=r"given \[2, 5, 3\] for 2 inputs; name the one that makes the logits"):
        features_of(tokens, "0", [torch.zeros(2, 5, 3)])

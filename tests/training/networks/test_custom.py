"""A network in a file of the user's: it is built, trained, saved and scored, and refused in one sentence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from synthood.errors import SynthoodError
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.custom import CustomNetwork
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.networks.settings import network_described
from synthood.workflow.code import code_of_plugin

EXAMPLE = Path(__file__).parents[3] / "examples/custom_network/conv_mixer.py"
HEAD = """import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, width=5):
        super().__init__()
        self.body = nn.Conv2d(3, width, 3)
        self.last = nn.Linear(width, classes)
"""
GOOD = "return self.last(self.body(x).mean((2, 3)))"
Make = Callable[..., CustomNetwork]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A network whose `forward` has this body, in a file that may begin otherwise."""

    def of(body: str = GOOD, head: str = HEAD, **settings: Any) -> CustomNetwork:
        file = tmp_path / "mine.py"
        file.write_text(f"{head}\n    def forward(self, x):\n        {body}\n")
        named = {} if "function" in settings else {"class": "Net"}
        return CustomNetwork.model_validate({"file": str(file), **named, **settings})

    return of


def checked(settings: CustomNetwork) -> None:
    settings.dry_run(8)


def test_the_last_linear_is_the_head_and_its_input_the_features() -> None:
    settings = CustomNetwork.model_validate({"file": str(EXAMPLE), "class": "ConvMixer", "values": {"width": 8}})
    network = build(settings, 3, seed=1).eval()
    images = torch.rand(2, 3, 16, 16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        whole = settings.module(3).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images), whole(images))
        features = whole.stages(whole.patches(images)).mean((2, 3))
        torch.testing.assert_close(network.features(images), features)
    assert network.head.in_features == 8
    settings.dry_run(32)
    assert network.draws is False


def test_a_module_with_features_and_head_is_taken_at_its_word(make: Make) -> None:
    head = HEAD.replace("self.last = nn.Linear(width, classes)", "self.head = nn.Linear(width, classes)") + (
        "        self.other = nn.Linear(width, classes)\n"
        "    def features(self, x):\n        return self.body(x).mean((2, 3)).tanh()\n"
    )
    settings = make("return self.head(self.features(x))", head)
    checked(settings)
    network = build(settings, 3, seed=0)
    assert network.features(torch.rand(2, 3, 8, 8)).abs().max() < 1


def test_a_function_may_make_it_and_images_may_be_resized(make: Make) -> None:
    head = "def wide(classes, width):\n    return Net(classes, width=2 * width)\n\n" + HEAD
    settings = make(GOOD, head, function="wide", values={"width": 4}, image_size=12)
    network = build(settings, 3, seed=0)
    assert network.features(torch.rand(2, 3, 8, 8)).shape == (2, 8)
    checked(settings)


def test_a_module_that_drops_units_draws_in_training_alone(make: Make) -> None:
    settings = make(GOOD.replace("mean((2, 3))", "mean((2, 3)).mul(self.drop(torch.ones(len(x), 5)))"), DROPS)
    network = build(settings, 3, seed=0)
    settings.check(network, 8, 8)
    assert network.draws is True


DROPS = HEAD + "        self.drop = nn.Dropout(0.5)\n"
NO_LINEAR = HEAD.replace("nn.Linear(width, classes)", "nn.Conv2d(width, classes, 1)")
BROKEN = {
    "logits of another number": ("return x.mean((1, 2))", HEAD, r"must give logits \[3, 3\] of 3 images, got float32"),
    "no batch": (f"{GOOD}[0]", HEAD, r"must give logits \[3, 3\] of 3 images, got float32 \[3\]"),
    "several outputs": ("return x, x", HEAD, r"must give logits \[3, 3\] of 3 images, got tuple"),
    "not finite": (f"{GOOD} / 0", HEAD, r"must give finite logits in float32, got float32 \[3, 3\], not finite"),
    "double": (f"{GOOD}.double()", HEAD, r"must give finite logits in float32, got float64 \[3, 3\]"),
    "raises": ("return self.first(x)", HEAD, r"AttributeError: 'Net' object has no attribute 'first' \(line 11\)"),
    "changes its input": (f"x.zero_(); {GOOD}", HEAD, "changes its input, which others see"),
    "something after the head": (f"{GOOD}.exp()", HEAD, "its logits are not those of its last Linear"),
    "the batch": (f"x = x - x.mean(0); {GOOD}", HEAD, "its logits depend on the other images of a batch"),
    "draws in evaluation": (f"x = x + torch.rand(1); {GOOD}", HEAD, "draws at random in evaluation mode, too"),
    "other random numbers": (
        f"x = x + NUMBERS.random() * self.training; {GOOD}",
        "from random import Random\nNUMBERS = Random(0)\n" + HEAD,  # which never repeats one by chance
        "its logits differ with the same seed of torch",
    ),
    "other weights": (
        GOOD,
        "from random import random\n" + HEAD + "        self.body.weight.data.mul_(random())\n",
        r"body\.weight differs between two builds with one seed",
    ),
    "a state": (
        f"self.body.weight.data.add_(1); {GOOD}",
        HEAD,
        r"changes body\.weight in evaluation mode",
    ),
    "another layer at the end": (
        "return self.body(x)[:, :3].mean((2, 3))",
        HEAD,
        r"features must be a tensor \[3, 5\], got float32 \[3, 3\]",
    ),
    "no Linear": (GOOD, NO_LINEAR, r"has no torch\.nn\.Linear inside"),
    "classes": (GOOD, HEAD.replace("(width, classes)", "(width, 10)"), "last, gives 10 logits of 3 classes"),
    "no bias": (GOOD, HEAD.replace("(width, classes)", "(width, classes, bias=False)"), "last, has no bias"),
    "lazy": (GOOD, HEAD.replace("Conv2d(3, width", "LazyConv2d(width"), "has lazy layers"),
    "raises on import": (GOOD, "1 / 0\n" + HEAD, r"ZeroDivisionError: division by zero \(line 1\)"),
    "no module": (
        "...",
        "class Net:\n    def __init__(self, classes): ...\n",
        r"must give a torch\.nn\.Module, got Net",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_network_is_reported_with_its_file(make: Make, name: str) -> None:
    body, head, message = BROKEN[name]
    with pytest.raises(SynthoodError, match=rf"mine\.py: (Net: )?.*{message}"):
        checked(make(body, head))


def test_what_cannot_be_called_is_reported(make: Make, tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=r"mine\.py: Net: TypeError: .*unexpected keyword argument 'widht'"):
        checked(make(values={"widht": 3}))
    with pytest.raises(SynthoodError, match=r"mine\.py: has no function 'net'"):
        checked(make(function="net"))
    with pytest.raises(SynthoodError, match=r"none\.py: not found"):
        checked(CustomNetwork(file=str(tmp_path / "none.py"), function="net"))
    with pytest.raises(ValidationError, match=r"values\.classes is the number of the data's classes"):
        make(values={"classes": 3})
    for named in ({}, {"function": "a", "class": "B"}):
        with pytest.raises(ValidationError, match="name a function or a class"):
            CustomNetwork.model_validate({"file": "mine.py", **named})


def test_a_saved_model_is_rebuilt_as_long_as_the_code_is_the_same(make: Make, tmp_path: Path) -> None:
    settings = make(values={"width": 6})
    network = build(settings, 3, seed=0).eval()
    classifier = Classifier(settings.architecture, ["a", "b", "c"], [0.5] * 3, [0.25] * 3, network)
    path = tmp_path / "model.safetensors"
    classifier.save(path)
    loaded = Classifier.load(path)
    images = torch.randint(256, (4, 8, 8, 3), dtype=torch.uint8).numpy()
    for ours, theirs in zip(
        logits_and_features(loaded, images, torch.device("cpu")),
        logits_and_features(classifier, images, torch.device("cpu")),
        strict=True,
    ):
        assert torch.equal(ours, theirs)
    assert loaded.settings == settings.architecture == network_described(settings.described())
    again = tmp_path / "again.safetensors"
    replace(loaded, network=loaded.network).save(again)
    assert again.read_bytes() == path.read_bytes()
    file = tmp_path / "mine.py"
    file.write_text(file.read_text() + "# A comment.\n")
    Classifier.load(path)
    file.write_text(file.read_text().replace("mean(", "sum("))
    with pytest.raises(SynthoodError, match=r"mine\.py: has changed since the model was made \(digest \w+, then \w+\)"):
        Classifier.load(path)
    file.unlink()
    with pytest.raises(SynthoodError, match=r"mine\.py: cannot be read"):
        Classifier.load(path)


def test_images_that_it_does_not_take_are_named(make: Make) -> None:
    network = build(make("return self.last(self.body(x).flatten(1))"), 3, seed=0)
    with pytest.raises(SynthoodError, match=r"features must be a tensor \[2, 5\], got float32 \[2, 180\]"):
        network(torch.rand(2, 3, 8, 8))


def test_the_file_and_its_neighbours_are_part_of_the_digest(make: Make, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("SCALE = 2.0\n")
    network = make(GOOD.replace("mean", "mul(SCALE).mean"), head="from .helper import SCALE\n" + HEAD)
    checked(network)
    before = code_of_plugin(network), network.architecture.code
    (tmp_path / "helper.py").write_text("SCALE = 3.0\n")
    after = code_of_plugin(network), network.architecture.code
    assert all(one != other for one, other in zip(before, after, strict=True))

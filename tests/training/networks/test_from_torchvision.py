"""Networks of torchvision: the same function, features and head apart, as checkpoints and as a start of training."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from pydantic import ValidationError

from synthood.errors import SynthoodError
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_torchvision import TorchvisionNetwork
from synthood.training.networks.checkpoint import imported
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.model import Classifier
from synthood.training.networks.pretrained import initial, pretrained_digest
from synthood.training.networks.settings import network_described

CLASSES = ["cat", "dog", "owl"]
SEVERAL = ["mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0"]


def random_model(name: str, classes: int = len(CLASSES)) -> Any:
    torch.manual_seed(3)
    model = torchvision.models.get_model(name, weights=None, num_classes=classes).eval()
    for key, value in model.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            value.copy_(0.5 + torch.rand(value.shape))
        elif value.ndim == 4:
            value.mul_(2)
    return model


@pytest.mark.parametrize("name", SEVERAL)
def test_a_checkpoint_computes_what_torchvision_does(name: str, tmp_path: Path) -> None:
    other = random_model(name)
    torch.save({"model": {f"module.{key}": value for key, value in other.state_dict().items()}}, tmp_path / "a.pth")
    recipe = {"kind": "checkpoint", "path": str(tmp_path / "a.pth"), "network": {"name": f"torchvision/{name}"}}
    recipe |= {"mean": [0.5] * 3, "std": [0.5] * 3}
    network = imported(CheckpointRecipe.model_validate(recipe), CLASSES).network
    images = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    seen: list[torch.Tensor] = []
    last = next(layer for layer in reversed(list(other.modules())) if isinstance(layer, torch.nn.Linear))
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        expected = other(images)
        assert expected.std() > 0
        torch.testing.assert_close(network(images), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(network.features(images), seen[0], atol=1e-5, rtol=1e-5)


def test_no_layer_draws_at_random_in_training() -> None:
    network = build(TorchvisionNetwork(name="torchvision/efficientnet_b0"), 3, seed=0).train()
    images = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(images), network(images))


def test_a_saved_model_is_read_again(tmp_path: Path) -> None:
    settings = TorchvisionNetwork(name="torchvision/mobilenet_v3_small", image_size=48)
    network = build(settings, 3, seed=0).eval()
    Classifier(settings, CLASSES, [0.5] * 3, [0.5] * 3, network).save(tmp_path / "a.safetensors")
    found = Classifier.load(tmp_path / "a.safetensors")
    assert found.settings == settings
    images = torch.randn((1, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(found.network(images), network(images))
    assert network_described(settings.model_copy(update={"pretrained": "a.pt"}).described()) == settings


def test_training_starts_from_a_file_with_a_last_layer_of_its_own(tmp_path: Path) -> None:
    """Of the averaged weights; what was taken is reported."""
    raw, average = (random_model("mobilenet_v3_small", classes=9).state_dict() for _ in range(2))
    average = {key: value + 1 if value.is_floating_point() else value for key, value in average.items()}
    torch.save({"model": raw, "model_ema": average}, tmp_path / "a.pth")
    settings = TorchvisionNetwork(name="torchvision/mobilenet_v3_small", pretrained=str(tmp_path / "a.pth"))
    notes: list[str] = []
    found, begun = initial(settings, 3, 1, notes.append).state_dict(), build(settings, 3, seed=1).state_dict()
    assert torch.equal(found["model.features.0.0.weight"], average["features.0.0.weight"])
    assert torch.equal(found["model.classifier.0.weight"], average["classifier.0.weight"])
    torch.testing.assert_close(found["head.weight"], begun["head.weight"] * 1e-3 / begun["head.weight"].std())
    assert any("(EMA), model_ema, are taken" in note for note in notes)
    assert any(note.endswith("the last Linear is drawn anew") for note in notes)
    assert len(pretrained_digest(settings) or "") == 64


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mobilenet_v4",
            r"torchvision/mobilenet_v4: not a classifier of torchvision that ends in one Linear; did you mean 'mobil",
        ),
        ("inception_v3", "torchvision/inception_v3: not a classifier of torchvision"),
        ("squeezenet1_0", "torchvision/squeezenet1_0: not a classifier of torchvision"),
    ],
)
def test_what_cannot_be_a_classifier_is_named(name: str, message: str) -> None:
    with pytest.raises(SynthoodError, match=message):
        build(TorchvisionNetwork(name=f"torchvision/{name}"), 3, seed=0)


def test_images_of_another_size_are_named() -> None:
    with torch.device("meta"):  # no time for weights that are not used
        network = TorchvisionNetwork(name="torchvision/vit_b_32").build(3)
    with pytest.raises(SynthoodError, match=r"takes images of 224 x 224 pixels, got 32 x 32; set network\.image_size"):
        network(torch.zeros(1, 3, 32, 32))


def test_settings_that_do_not_go_together_are_refused() -> None:
    for wrong, message in (({"sha256": "0" * 64}, "sha256 is of a file"), ({"width": 16}, "Extra inputs")):
        with pytest.raises(ValidationError, match=message):
            TorchvisionNetwork.model_validate({"name": "torchvision/mobilenet_v2"} | wrong)
    recipe = {"kind": "checkpoint", "path": "a.pt", "mean": [0.5] * 3, "std": [0.5] * 3}
    network = {"name": "torchvision/mobilenet_v2", "pretrained": "b.pt"}
    with pytest.raises(ValidationError, match=r"network\.pretrained is for recipes that are trained"):
        CheckpointRecipe.model_validate(recipe | {"network": network})

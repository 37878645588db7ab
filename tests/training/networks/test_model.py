"""A classifier as a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthood.common.encoded import EncodedImages, write_encoded
from synthood.common.images import open_images
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.training.networks import model
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier, channel_statistics, logits_and_features

SETTINGS = Network(name="resnet8", width=8)


@pytest.fixture
def classifier() -> Classifier:
    network = build(SETTINGS, 3, seed=1)
    images = torch.randn((6, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    network(images)  # moves the running statistics away from their start
    return Classifier(SETTINGS, ["cat", "dog", "owl"], [0.1, 0.2, 0.3], [0.5, 0.25, 1.0], network.eval())


def test_saved_and_loaded_is_the_same(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "a")
    other = Classifier.load(tmp_path / "a")
    assert (other.settings, other.classes, other.mean, other.deviation) == (
        classifier.settings,
        classifier.classes,
        classifier.mean,
        classifier.deviation,
    )
    assert not other.network.training
    state = classifier.network.state_dict()
    assert state.keys() == other.network.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in other.network.state_dict().items())
    other.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_weights_that_do_not_fit_are_named(classifier: Classifier, tmp_path: Path, change: str) -> None:
    classifier.save(tmp_path / "a")
    arrays, header = read_tensors(tmp_path / "a")
    if change == "missing":
        del arrays["head.bias"]
    else:
        arrays["extra"] = np.zeros(1)
    write_tensors(tmp_path / "b", arrays, header)
    name = "head.bias" if change == "missing" else "extra"
    with pytest.raises(SynthoodError, match=rf"b: weights missing or unknown, e\.g\. {name} \(1 in all\)"):
        Classifier.load(tmp_path / "b")


def test_normalised_by_hand(classifier: Classifier) -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(2, 4, 5, 3).clone()
    found = classifier.normalised(images)
    assert found.shape == (2, 3, 4, 5)
    assert found.dtype == torch.float32
    expected = [(0 - 0.1) / 0.5, (0.2 - 0.2) / 0.25, (1 - 0.3) / 1.0]
    assert found[1, :, 2, 3].tolist() == pytest.approx(expected, abs=1e-6)


def test_normalised_keeps_pixels_in_place(classifier: Classifier) -> None:
    images = torch.arange(2 * 4 * 5 * 3).view(2, 4, 5, 3).to(torch.uint8)
    found = classifier.normalised(images)
    assert found[1, 2, 3, 4].item() == pytest.approx((images[1, 3, 4, 2].item() / 255 - 0.3) / 1.0, abs=1e-6)


def test_channel_statistics_by_hand() -> None:
    """A channel of two values, one of four, and a constant one, whose deviation is held above zero."""
    images = np.zeros((2, 1, 2, 3), np.uint8)
    images[0, ..., 0] = 255
    images[..., 1] = [[[0, 51]], [[102, 153]]]
    images[..., 2] = 255
    mean, deviation = channel_statistics(images)
    assert mean == [0.5, 0.3, 1.0]
    assert deviation == [0.5, pytest.approx(np.sqrt(0.05), abs=1e-6), 0.001]


@pytest.mark.parametrize(("name", "stem"), [("wrn-40-2", 32), ("resnet50", 64), ("resnet8", 224)])
def test_every_network_can_be_loaded(name: Any, stem: Any, tmp_path: Path) -> None:
    settings = Network(name=name, width=8, stem=stem)
    Classifier(settings, ["cat"], [0.0] * 3, [1.0] * 3, build(settings, 1, seed=0)).save(tmp_path / "a")
    assert Classifier.load(tmp_path / "a").settings == settings
    _, header = read_tensors(tmp_path / "a")
    assert header["network"].get("stem") == (None if stem == 32 else stem)


def test_encoded_images_are_run_over_batch_by_batch(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 66, 66, 3), dtype=np.uint8)
    path = tmp_path / "large.safetensors"
    labels = np.array([0, 1, 2, 0, 1])
    write_encoded(path, iter(pixels), 1, lambda: (labels, {"classes": classifier.classes}))
    monkeypatch.setattr(model, "EVALUATION_BATCH", 2)
    images, found = open_images(path)
    assert isinstance(images, EncodedImages)
    assert found.tolist() == labels.tolist()
    lazy, whole = (logits_and_features(classifier, each, torch.device("cpu")) for each in (images, pixels))
    for one, other in zip(lazy, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)

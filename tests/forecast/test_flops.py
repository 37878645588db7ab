"""Operations of networks, by hand and against published numbers."""

import pytest
import torch
from torch import nn

from checkouts import PROJECT
from synthood.config.load import load_file
from synthood.forecast import flops
from synthood.forecast.of_training import PLAIN, passes
from synthood.training.networks.settings import network_described


def test_operations_parameters_and_activations_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16 * 16, 5))
    found = flops.counted(network, lambda: network(torch.zeros(1, 3, 16, 16)))
    assert found.flops == 2 * (16 * 16 * 8 * 3 * 9 + 8 * 16 * 16 * 5)
    assert found.parameters == 8 * 3 * 9 + 8 + 8 * 16 * 16 * 5 + 5
    assert found.activations == 3 * 8 * 16 * 16 + 5


@pytest.mark.parametrize(
    ("network", "side", "billions", "features"),
    [
        ({"name": "torchvision/resnet18"}, 224, 2 * 1.81, 512),  # multiply-adds as torchvision lists them
        ({"name": "torchvision/mobilenet_v2"}, 224, 2 * 0.30, 1280),
        ({"name": "torchvision/vit_b_16"}, 224, 2 * 17.56, 768),
    ],
)
def test_operations_as_published(network, side, billions, features):
    found = flops.of_network(network_described(network), 1000, side)
    assert found.flops / 1e9 == pytest.approx(billions, rel=0.02)
    assert (found.features, found.known) == (features, True)


def test_operations_grow_with_the_pixels():
    network = network_described({"name": "resnet8", "width": 16})
    small, large = (flops.of_network(network, 10, side).flops for side in (32, 64))
    head = 2 * 10 * 64
    assert large - head == 4 * (small - head)


def test_a_network_that_cannot_be_built_is_assumed():
    found = flops.of_network(network_described({"name": "timm/no_such_network"}), 10, 32)
    assert not found.known
    assert found.flops == flops.UNKNOWN[0]


def test_the_assumed_stable_diffusion_is_that_of_its_authors():
    denoising, decoding, encoding, known = flops.of_checkpoint("nowhere", None)
    assert not known
    assert denoising.parameters == 859_520_964  # of stable-diffusion-v1-5
    assert decoding.parameters + encoding.parameters == 83_653_863 - 72 - 20  # but for the 1x1 layers between them
    assert denoising.flops / 1e12 == pytest.approx(0.80, rel=0.02)


def test_biggans_by_name():
    assert [flops.of_biggan(f"biggan-deep-{side}")[1:] for side in (128, 256, 512)] == [
        (128, True),
        (256, True),
        (512, True),
    ]
    assert flops.of_biggan("data/mine")[1:] == (256, False)


@pytest.mark.parametrize(
    ("recipe", "views"), [("ce", 1), ("mixup", 1), ("regmixup", 2), ("augmix-jsd", 3), ("rotation", 4)]
)
def test_a_step_has_a_pass_for_each_view_and_two_for_its_gradient(recipe, views):
    plain = load_file(PROJECT / "configs/digits-methods.yaml").recipes[recipe].model_copy(update=PLAIN)
    assert passes(plain) == pytest.approx(3 * views, rel=0.03)  # the first layer's inputs have no gradient

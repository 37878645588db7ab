"""RandAugment, AugMix and PixMix: their formulas image by image, their draws, what is left alone."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from synthood.training.augmentation import policies
from synthood.training.augmentation.base import Change
from synthood.training.augmentation.fractals import fractals
from synthood.training.augmentation.pixels import OPERATIONS
from synthood.training.augmentation.policies import (
    AugMix,
    PixMix,
    RandAugment,
    added,
    augmixed,
    exponents,
    multiplied,
    pixmixed,
)
from synthood.training.augmentation.settings import Augmentation

CPU = torch.device("cpu")
EVERY: list[dict[str, Any]] = [{"randaugment": RandAugment()}, {"augmix": AugMix()}, {"pixmix": PixMix(fractals=3)}]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def on_pixels(settings: Augmentation, height: int, width: int) -> Change:
    """Bytes, or floats up to 255, as they are normalised."""
    return settings.prepared(lambda images: images, height, width, 0, CPU)


def smooth(count: int, side: int = 8) -> Tensor:
    coarse = torch.rand((count, 3, 3, 3), generator=random())
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


def test_without_settings_bytes_pass() -> None:
    images = torch.arange(96, dtype=torch.uint8).view(2, 4, 4, 3)
    assert on_pixels(Augmentation(), 4, 4)(images, random()) is images


@pytest.mark.parametrize("settings", EVERY)
def test_bytes_in_floats_up_to_255_out(settings: dict[str, Any]) -> None:
    images = (smooth(40)[:, :, :6] * 255).byte().permute(0, 2, 3, 1)
    made = on_pixels(Augmentation(**settings), 6, 8)
    found, again, other = (made(images, random(seed)) for seed in (0, 0, 1))
    assert found.shape == images.shape
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert 200 < found.max() <= 255.001
    assert torch.equal(found, again)
    assert not torch.equal(found, other)
    changed = (found - images).abs().amax((1, 2, 3)) > 1
    assert 20 <= changed.sum() <= 40


def test_randaugment_is_one_operation_of_each_kind_and_sign() -> None:
    """With one operation, every result is one of those that brute force allows, and all of them occur."""
    images = smooth(1).repeat(600, 1, 1, 1)
    found = RandAugment(operations=1, magnitude=15).changed(images, random())
    signs = [torch.tensor([sign * 0.5]) for sign in (1.0, -1.0)]
    allowed = torch.cat([operation(images[:1], sign) for operation in OPERATIONS.values() for sign in signs])
    distance = (found[:, None] - allowed[None]).abs().amax((2, 3, 4))
    assert distance.amin(1).max() < 1e-5
    assert (distance < 1e-5).any(0).all()


def test_randaugment_of_no_magnitude_leaves_most_operations_idle() -> None:
    images = smooth(200)
    found = RandAugment(operations=1, magnitude=0).changed(images, random())
    still = ((found - images).abs().amax((1, 2, 3)) < 1 / 254).float().mean()
    assert 0.75 < still < 0.97  # all but autocontrast and equalize, of 14


def test_augmix_mixes_chains_by_weights_that_sum_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations that add a constant leave (depth of each chain) x constant x weights x share."""
    monkeypatch.setattr(policies, "varied", lambda images, severity, random: images + 1)
    images = smooth(500)
    gained = (augmixed(images, AugMix(width=2, depth=1), random()) - images).flatten(1)
    torch.testing.assert_close(gained, gained[:, :1].expand_as(gained), atol=1e-5, rtol=0)
    share = gained[:, 0]
    assert share.min() >= -1e-5
    assert share.max() <= 1 + 1e-5
    assert float(share.mean()) == pytest.approx(0.5, abs=0.05)  # Beta(1,1) is uniform
    assert float(share.std()) == pytest.approx(12**-0.5, abs=0.03)
    deep = (augmixed(images, AugMix(width=1, depth=3), random()) - images)[:, 0, 0, 0]
    assert float(deep.mean()) == pytest.approx(0.5 * 2, abs=0.1)  # depths 1 to 3 are equally likely


def test_pixmix_formulas_by_hand() -> None:
    mine, its = torch.tensor(0.8), torch.tensor(-0.2)
    x, y = torch.tensor([0.25, 1.0]), torch.tensor([0.5, 0.125])
    torch.testing.assert_close(added(x, y, mine, its), torch.tensor([0.3, 0.975]))
    expected = torch.tensor([0.5**0.8 * 1.0 / 2, 2**0.8 * 0.25**-0.2 / 2])
    torch.testing.assert_close(multiplied(x, y, mine, its), expected)


def test_pixmix_exponents_have_the_means_of_their_betas() -> None:
    mine, its = exponents(np.random.default_rng(0), 20000, 3.0)
    inside = its > 0
    assert inside.mean() == pytest.approx(0.5, abs=0.02)
    assert mine[inside].mean() == pytest.approx(0.75, abs=0.01)
    assert its[inside].mean() == pytest.approx(0.25, abs=0.01)
    assert mine[~inside].mean() == pytest.approx(1.25, abs=0.01)
    assert its[~inside].mean() == pytest.approx(-0.25, abs=0.01)


def test_pixmix_shows_the_mixing_set() -> None:
    """Grey images that no operation changes take on the stripes of the only picture."""
    images = torch.full((300, 3, 8, 8), 0.5)
    stripes = (torch.arange(8) % 2).float().expand(1, 3, 8, 8)
    found = pixmixed(images, stripes, PixMix(), random())
    still = ((found[:, :, :, 1] - found[:, :, :, 0]).abs().amax((1, 2)) < 1e-6).float().mean()
    assert 0.2 < still < 0.8  # no rounds, or variations of the image itself in all of them
    assert found.min() >= 0
    assert found.max() <= 1


def test_fractals_are_pictures_of_their_seed() -> None:
    made = fractals(5, 16, 7)
    assert made.shape == (5, 3, 16, 16)
    assert made.min() >= 0
    assert 0.5 < made.max() <= 1
    assert torch.equal(made, fractals(5, 16, 7))
    torch.testing.assert_close(fractals(3, 16, 7), made[:3])
    assert not torch.equal(made, fractals(5, 16, 8))
    lit = (made.amax(1) > 0.05).float().mean((1, 2))
    assert lit.min() > 0.05
    assert lit.max() < 1
    assert made.flatten(1).std(1).min() > 0.05

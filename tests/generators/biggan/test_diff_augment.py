"""Differentiable augmentation."""

import pytest
import torch

from synthood.generators.biggan.diff_augment import coloured, diff_augmented


def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_colours_by_hand() -> None:
    images = torch.rand((3, 3, 4, 4), generator=random()) * 2 - 1
    brightness, saturation, contrast = torch.rand((3, 3), generator=random()).tolist()
    for image, b, s, c, found in zip(images, brightness, saturation, contrast, coloured(images, random()), strict=True):
        bright = image + b - 0.5
        grey = bright.mean(0)
        vivid = grey + 2 * s * (bright - grey)
        torch.testing.assert_close(found, vivid.mean() + (c + 0.5) * (vivid - vivid.mean()))


@pytest.mark.parametrize("side", [32, 64])
def test_translation_and_cutout_scale_with_the_image(side: int) -> None:
    images = torch.ones((40, 3, side, side))
    cut = diff_augmented(images, ["cutout"], random())
    holes = (cut[:, 0] == -1).sum((1, 2))
    assert holes.max() == (side // 2) ** 2
    moved = diff_augmented(images, ["translation"], random())
    empty = (moved[:, 0] == -1).any(2).sum(1)  # rows that came from outside
    assert empty.max() in (side // 8, side)
    assert (moved[:, 0].amax(2) == -1).sum(1).max() == side // 8


def test_no_policy_changes_nothing() -> None:
    images = torch.rand((2, 3, 32, 32), generator=random())
    assert diff_augmented(images, [], random()) is images


def test_gradients_pass() -> None:
    images = torch.zeros((2, 3, 32, 32), requires_grad=True)
    diff_augmented(images, ["colour", "translation"], random()).square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0

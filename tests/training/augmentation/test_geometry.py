"""Augmentations: every result is one of those that brute force allows, and all of them occur."""

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.training.augmentation.geometry import Cutout, Flip, shifted
from synthood.training.augmentation.settings import Augmentation


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmented(images: Tensor, settings: Augmentation, random: torch.Generator) -> Tensor:
    """Inputs of a network that are given as they are."""
    return settings.prepared(lambda inputs: inputs, *images.shape[2:], 0, torch.device("cpu"))(images, random)


def distinct(count: int, height: int = 4, width: int = 6) -> Tensor:
    """Pixels that all differ, none of them 0."""
    return torch.arange(1.0, 1 + count * 3 * height * width).view(count, 3, height, width)


@pytest.mark.parametrize(("padding", "mode"), [("zero", "constant"), ("replicate", "replicate")])
def test_shift_is_a_crop_of_the_padded_image(padding: Literal["zero", "replicate"], mode: str) -> None:
    images = distinct(1).repeat(300, 1, 1, 1)
    padded = F.pad(images[0], (1, 1, 1, 1), mode=mode)
    crops = [padded[:, top : top + 4, left : left + 6] for top in range(3) for left in range(3)]
    moved = shifted(images, 1, padding, random())
    which = [[torch.equal(image, crop) for crop in crops].index(True) for image in moved]
    counts = torch.bincount(torch.tensor(which), minlength=9)
    assert (counts > 12).all()  # 33 expected, standard deviation 5.4


def test_flip_mirrors_about_half_of_the_images() -> None:
    images = distinct(400)
    result = Flip(flip=True).changed(images, random())
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(result, images, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(result, images, strict=True)]
    assert all(one != other for one, other in zip(mirrored, kept, strict=True))
    assert 160 < sum(mirrored) < 240


@pytest.mark.parametrize("side", [1, 2, 3])
def test_cutout_erases_a_square_around_any_pixel(side: int) -> None:
    height, width = 4, 6
    allowed = set()
    for row in range(height):
        for column in range(width):
            top, left = row - side // 2, column - side // 2
            rows, columns = range(top, top + side), range(left, left + side)
            allowed.add(tuple(y in rows and x in columns for y in range(height) for x in range(width)))
    images = distinct(600, height, width)
    result = Cutout(cutout=side).changed(images, random())
    holes = result == 0
    assert torch.equal(result[~holes], images[~holes])
    assert torch.equal(holes.all(1), holes.any(1))  # the same in all channels
    found = {tuple(hole.flatten().tolist()) for hole in holes.all(1)}
    assert found == allowed


def test_augmented_goes_shift_flip_cutout() -> None:
    images, both = distinct(16), Augmentation(shift=2, padding="zero", flip=True, cutout=3)
    source = random(3)
    expected = Cutout(cutout=3).changed(Flip(flip=True).changed(shifted(images, 2, "zero", source), source), source)
    assert torch.equal(augmented(images, both, random(3)), expected)
    assert not torch.equal(augmented(images, both, random(4)), expected)


def test_nothing_set_changes_nothing_and_draws_nothing() -> None:
    source = random(0)
    images = distinct(4)
    assert torch.equal(augmented(images, Augmentation(), source), images)
    assert torch.equal(torch.rand(3, generator=source), torch.rand(3, generator=random(0)))


def test_each_image_has_its_own_draw() -> None:
    result = augmented(distinct(1).repeat(32, 1, 1, 1), Augmentation(shift=2), random())
    assert len({tuple(image.flatten().tolist()) for image in result}) > 5

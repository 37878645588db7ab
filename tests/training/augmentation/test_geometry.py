"""Augmentations: every result is one of those that brute force allows, and all of them occur."""

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.functional import resized_crop

from synthood.training.augmentation.geometry import Cutout, Flip, ResizedCrop, boxes, resized, shifted
from synthood.training.augmentation.policies import PixMix, RandAugment
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


def test_black_pixels_come_in_before_normalisation() -> None:
    """torchvision's pad of 0 and crop, then the normalisation: every result is one of those, and all occur."""
    images = torch.randint(1, 256, (1, 4, 6, 3), generator=random(), dtype=torch.uint8).repeat(300, 1, 1, 1)

    def normalised(given: Tensor) -> Tensor:
        return ((given.float() / 255 - 0.5) / 0.25).permute(0, 3, 1, 2)

    settings = Augmentation(shift=1, padding="black")
    found = settings.prepared(normalised, 4, 6, 0, torch.device("cpu"))(images, random())
    padded = normalised(F.pad(images[:1].permute(0, 3, 1, 2), (1,) * 4).permute(0, 2, 3, 1))
    crops = torch.cat([padded[:, :, top : top + 4, left : left + 6] for top in range(3) for left in range(3)])
    distance = (found[:, None] - crops[None]).abs().amax((2, 3, 4))
    assert distance.amin(1).max() < 1e-5
    assert (torch.bincount(distance.argmin(1), minlength=9) > 12).all()
    assert found.min() == pytest.approx(-2.0)  # black, not the mean


@pytest.mark.parametrize(("height", "width"), [(20, 28), (16, 16), (30, 7)])
def test_resized_crops_are_torchvisions(height: int, width: int) -> None:
    """Of the same parts the same pixels; of the parts the areas and shapes that were asked for."""
    images = torch.rand((60, 3, height, width), generator=random())
    chosen = boxes(60, height, width, ResizedCrop(), random(1))
    expected = torch.stack(
        [
            resized_crop(one, *part, [height, width], antialias=False)
            for one, part in zip(images, chosen.tolist(), strict=True)
        ]
    )
    torch.testing.assert_close(resized(images, chosen), expected, atol=1e-5, rtol=0)
    assert torch.equal(ResizedCrop().changed(images, random(1)), resized(images, chosen))


def test_resized_crops_are_spread_as_torchvisions() -> None:
    """Means and spreads of area, shape and place, over many parts of a large image."""
    found = boxes(4000, 200, 200, ResizedCrop(), random()).double()
    torch.manual_seed(0)
    image = torch.empty(3, 200, 200)
    theirs = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    for ours, other in zip(found.T, torch.tensor(theirs).double().T, strict=True):
        error = (ours.var() / 4000 + other.var() / 4000).sqrt()
        assert abs(ours.mean() - other.mean()) < 4 * error
        assert float(ours.std() / other.std()) == pytest.approx(1, abs=0.06)


def test_where_no_try_fits_the_middle_is_taken() -> None:
    """Of a strip no part has an allowed shape and most of its area."""
    settings = ResizedCrop(smallest=0.9)
    assert boxes(3, 40, 8, settings, random()).tolist() == [[14, 0, 11, 8]] * 3
    assert boxes(3, 8, 40, settings, random()).tolist() == [[0, 14, 8, 11]] * 3
    with pytest.raises(ValidationError, match="exchange"):
        ResizedCrop(smallest=0.5, largest=0.4)


def test_a_crop_comes_before_operations_on_pixels() -> None:
    settings = Augmentation(resized_crop=ResizedCrop(), randaugment=RandAugment(), shift=1, padding="black")
    assert [step.key for step in settings.steps] == ["resized_crop", "randaugment", "shift"]
    mixed = Augmentation(pixmix=PixMix(), shift=1, padding="black", flip=True)
    assert [step.key for step in mixed.steps] == ["shift", "pixmix", "flip"]

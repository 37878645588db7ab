"""Pixel operations: torchvision's on whole numbers, image by image, are the oracle."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as oracle
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torchvision.transforms import InterpolationMode

from synthood.training.augmentation.pixels import OF_CODE, OPERATIONS, PLAIN, RELEASED, applied

STRENGTHS = torch.tensor([0.0, 0.3, -0.3, 0.71, -1.0, 1.0])
BILINEAR = InterpolationMode.BILINEAR


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Smooth colours of whole numbers, one channel constant, one image of few levels."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand((6, 3, 4, 4), generator=random)
    made = torch.nn.functional.interpolate(coarse, (24, 24), mode="bilinear")
    made[1, 2] = 0.4
    made[2] = (made[2] * 3).round() / 3
    return (made * 255).round() / 255


Oracle = Callable[[Tensor, float], Tensor]


def moved(
    image: Tensor, angle: float = 0.0, shift: tuple[int, int] = (0, 0), shear: tuple[float, float] = (0, 0)
) -> Tensor:
    return oracle.affine(image, angle, list(shift), 1.0, list(shear), interpolation=BILINEAR)


ORACLES: dict[str, Oracle] = {
    "identity": lambda x, s: x,
    "autocontrast": lambda x, s: oracle.autocontrast(x),
    "solarize": lambda x, s: oracle.solarize(x, 1 - abs(s)),
    "rotate": lambda x, s: moved(x, angle=30 * s),
    "shear_x": lambda x, s: moved(x, shear=(math.degrees(math.atan(0.3 * s)), 0.0)),
    "translate_x": lambda x, s: moved(x, shift=(int(s * 0.45 * 24), 0)),
    "translate_y": lambda x, s: moved(x, shift=(0, int(s * 0.45 * 24))),
    "brightness": lambda x, s: oracle.adjust_brightness(x, 1 + 0.9 * s),
    "color": lambda x, s: oracle.adjust_saturation(x, 1 + 0.9 * s),
    "contrast": lambda x, s: oracle.adjust_contrast(x, 1 + 0.9 * s),
    "sharpness": lambda x, s: oracle.adjust_sharpness(x, 1 + 0.9 * s),
}


@pytest.mark.parametrize("name", list(ORACLES))
def test_operation_equals_torchvision(images: Tensor, name: str) -> None:
    found = OPERATIONS[name](images, STRENGTHS)
    expected = torch.stack([ORACLES[name](x, float(s)) for x, s in zip(images, STRENGTHS, strict=True)])
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=0)


def test_the_oracle_changes_images(images: Tensor) -> None:
    """Else agreement with it would mean nothing."""
    for name, operation in OPERATIONS.items():
        if name != "identity":
            assert (operation(images, STRENGTHS) - images).abs().max() > 0.01


def test_shear_y_is_shear_x_of_the_transposed(images: Tensor) -> None:
    expected = OPERATIONS["shear_x"](images.transpose(2, 3), STRENGTHS).transpose(2, 3)
    torch.testing.assert_close(OPERATIONS["shear_y"](images, STRENGTHS), expected)
    assert (expected - OPERATIONS["shear_x"](images, STRENGTHS)).abs().max() > 0.05


def test_equalize_is_pillows(images: Tensor) -> None:
    found = (OPERATIONS["equalize"](images, STRENGTHS) * 255).round().byte()
    for image, own in zip(images, found, strict=True):
        pillow = Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())
        expected = torch.frombuffer(bytearray(ImageOps.equalize(pillow).tobytes()), dtype=torch.uint8)
        assert torch.equal(own.permute(1, 2, 0).flatten(), expected)


def test_posterize_is_pillows(images: Tensor) -> None:
    found = (OPERATIONS["posterize"](images, STRENGTHS) * 255).round().byte()
    for image, own, strength in zip(images, found, STRENGTHS, strict=True):
        pillow = Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())
        bits = 8 - round(4 * abs(float(strength)))
        expected = torch.frombuffer(bytearray(ImageOps.posterize(pillow, bits).tobytes()), dtype=torch.uint8)
        assert torch.equal(own.permute(1, 2, 0).flatten(), expected)


def test_each_image_has_its_own_operation(images: Tensor) -> None:
    chosen = torch.tensor([0, 3, 4, 4, 8, 1])
    found = applied(images, PLAIN, chosen, STRENGTHS)
    for i, which in enumerate(chosen):
        expected = OPERATIONS[PLAIN[int(which)]](images[i : i + 1], STRENGTHS[i : i + 1])
        torch.testing.assert_close(found[i : i + 1], expected)


def test_images_of_unequal_sides_are_not_distorted() -> None:
    image = torch.zeros((1, 3, 8, 16))
    image[:, :, 3:5, 7:9] = 1
    turned = OPERATIONS["rotate"](image, torch.tensor([1.0]))
    torch.testing.assert_close(turned, moved(image, angle=30.0), atol=2e-4, rtol=0)


def factor(strength: float) -> float:
    return 0.1 + 1.8 * strength


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "posterize": lambda x, s: ImageOps.posterize(x, 4 - int(4 * s)),
    "solarize": lambda x, s: ImageOps.solarize(x, 256 - int(256 * s)),
    "color": lambda x, s: ImageEnhance.Color(x).enhance(factor(s)),
    "brightness": lambda x, s: ImageEnhance.Brightness(x).enhance(factor(s)),
    "contrast": lambda x, s: ImageEnhance.Contrast(x).enhance(factor(s)),
    "sharpness": lambda x, s: ImageEnhance.Sharpness(x).enhance(factor(s)),
    "translate_x": lambda x, s: x.transform(x.size, Image.Transform.AFFINE, (1, 0, -int(24 / 3 * s), 0, 1, 0)),
    "translate_y": lambda x, s: x.transform(x.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, -int(24 / 3 * s))),
}


@pytest.mark.parametrize("name", list(PILLOW))
def test_released_strengths_are_those_of_the_papers_code(images: Tensor, name: str) -> None:
    """Pillow's own operations, at the strengths that a severity of 3 or 10 draws; they round to whole numbers."""
    for strength in (0.01, 0.13, 0.26, 0.3, 0.77, 0.99):
        found = OF_CODE[f"released-{name}"](images, torch.full((len(images),), strength))
        for image, ours in zip(images, found, strict=True):
            picture = Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy())
            theirs = torch.from_numpy(np.asarray(PILLOW[name](picture, strength)).copy()).permute(2, 0, 1) / 255
            off = (ours - theirs).abs()
            # A pixel at the threshold of an operation may fall on either side
            assert (off > 2.5 / 255).float().mean() < 0.02, (strength, off.max())


def test_released_rotations_are_of_whole_degrees(images: Tensor) -> None:
    for strength, degrees in ((0.3, 9), (0.27, 8), (-0.27, -8), (0.02, 0)):
        found = OF_CODE["released-rotate"](images, torch.full((6,), strength))
        torch.testing.assert_close(found, OPERATIONS["rotate"](images, torch.full((6,), degrees / 30)))
    assert len(RELEASED) == 13
    assert {name.removeprefix("released-") for name in RELEASED} == {*OPERATIONS} - {"identity"}

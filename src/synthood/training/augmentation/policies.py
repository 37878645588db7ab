"""RandAugment, AugMix and PixMix of whole batches of pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import Tensor, np, torch
from synthood.common.seeds import derived_seed, numpy_generator
from synthood.common.settings import Count, Positive, Settings
from synthood.errors import SynthoodError
from synthood.training.augmentation.base import AugmentationStep, Change
from synthood.training.augmentation.fractals import fractals
from synthood.training.augmentation.geometry import parts
from synthood.training.augmentation.mixing_set import pictures_of
from synthood.training.augmentation.pixels import OPERATIONS, PLAIN, RELEASED, applied


class RandAugment(AugmentationStep):
    """Random operations on pixels, all of the same magnitude."""

    paper = "arXiv 1909.13719"
    key = "randaugment"
    order = 10

    kind: Literal["randaugment"] = "randaugment"
    operations: Annotated[Count, Field(description="in turn, of each image")] = 2
    magnitude: Annotated[int, Field(ge=0, le=30, description="of 30")] = 9

    def changed(self, images: Tensor, random: torch.Generator) -> Tensor:
        """So many operations in turn, of one magnitude in either direction."""
        names, count = tuple(OPERATIONS), len(images)
        for _ in range(self.operations):
            sign = 1.0 - 2 * torch.randint(2, (count,), generator=random)
            chosen = torch.randint(len(names), (count,), generator=random)
            images = applied(images, names, chosen, sign * self.magnitude / 30)
        return images


class Chains(Settings):
    """Strengths of AugMix's chains of operations."""

    width: Annotated[Count, Field(description="chains")] = 3
    depth: Annotated[Count, Field(description="operations of a chain at most")] = 3
    severity: Annotated[int, Field(ge=1, le=10, description="strength of an operation, of 10")] = 3


class AugMix(Chains, AugmentationStep):
    """Chains of operations mixed with the image, without the consistency loss."""

    paper = "arXiv 1912.02781"
    key = "augmix"
    order = 20

    kind: Literal["augmix"] = "augmix"

    def changed(self, images: Tensor, random: torch.Generator) -> Tensor:
        return augmixed(images, self, random)


class PixMix(AugmentationStep):
    """Rounds of mixing with fractals or with an operation on the image."""

    paper = "arXiv 2112.05135"
    key = "pixmix"
    order = 55  # after a shift that fills in black, which the papers' code does first

    kind: Literal["pixmix"] = "pixmix"
    rounds: Annotated[Count, Field(description="at most")] = 4
    beta: Annotated[Positive, Field(description="the larger, the weaker")] = 3.0
    severity: Annotated[int, Field(ge=1, le=10, description="strength of an operation, of 10")] = 3
    fractals: Annotated[Count, Field(description="pictures in the mixing set, drawn from the seed")] = 128
    pictures: Annotated[
        str | None, Field(min_length=1, description="a folder whose image files are the mixing set instead")
    ] = None
    picture_size: Annotated[
        Count | None,
        Field(description="side of these pictures, of which a random part fills the frame; null: the frame's"),
    ] = None
    operations: Annotated[
        Literal["plain", "released"],
        Field(description="plain: nine of RandAugment's; released: thirteen, of the strengths of the papers' code"),
    ] = "plain"

    @model_validator(mode="after")
    def _a_size_of_pictures(self) -> Self:
        if self.picture_size and not self.pictures:
            raise ValueError("picture_size is of pictures in a folder; name it as `pictures`, or take the size away")
        return self

    def prepared(self, height: int, width: int, seed: int, device: torch.device) -> Change:
        if self.pictures:
            if self.picture_size and self.picture_size < max(height, width):
                raise SynthoodError(
                    f"augmentation.pixmix.picture_size {self.picture_size} does not fill images of {height} x {width} "
                    f"pixels; take at least {max(height, width)}"
                )
            sides = (self.picture_size or height), (self.picture_size or width)
            pictures = pictures_of(Path(self.pictures), *sides).to(device)
        else:
            square = fractals(self.fractals, max(height, width), derived_seed(seed, "fractals"))
            pictures = square[:, :, :height, :width].to(device)
        return lambda images, random: pixmixed(images, pictures, self, random)


def varied(images: Tensor, severity: int, random: torch.Generator, names: tuple[str, ...] = PLAIN) -> Tensor:
    """One of AugMix's operations on each image, its strength uniform from 0.01 to a tenth of the severity."""
    count = len(images)
    sign = 1.0 - 2 * torch.randint(2, (count,), generator=random)
    strength = 0.01 + (severity / 10 - 0.01) * torch.rand(count, generator=random)
    return applied(images, names, torch.randint(len(names), (count,), generator=random), sign * strength)


def augmixed(images: Tensor, settings: Chains, random: torch.Generator) -> Tensor:
    """AugMix (arXiv 1912.02781, algorithm 1): (1 - m) x + m sum_i w_i chain_i(x), w ~ Dirichlet(1), m ~ Beta(1,1)."""
    numbers, count = numpy_generator(random), len(images)
    weights = column(numbers.dirichlet(np.ones(settings.width), count).T, images)
    share = column(numbers.beta(1, 1, count), images)
    mixed = torch.zeros_like(images)
    for weight in weights:
        depth = torch.randint(1, settings.depth + 1, (count,), generator=random).to(images.device, non_blocking=True)
        chain = images
        for done in range(settings.depth):
            chain = where(depth > done, varied(chain, settings.severity, random), chain)
        mixed = mixed + weight * chain
    return (1 - share) * images + share * mixed


def pixmixed(images: Tensor, mixing_set: Tensor, settings: PixMix, random: torch.Generator) -> Tensor:
    """PixMix (arXiv 2112.05135, section 3): from the image or a variation of it, rounds of adding or multiplying
    a picture of the mixing set, float32 [M,3,H,W] in [0,1] or uint8, or another variation."""
    numbers, count, device = numpy_generator(random), len(images), images.device

    def coin() -> Tensor:
        return (torch.rand(count, generator=random) < 0.5).to(device, non_blocking=True)

    def variation() -> Tensor:
        if settings.operations == "plain":
            return varied(images, settings.severity, random)
        return varied(images, settings.severity, random, RELEASED)

    rounds = torch.randint(settings.rounds + 1, (count,), generator=random).to(device, non_blocking=True)
    mixed = where(coin(), variation(), images)
    for done in range(settings.rounds):
        picture = mixing_set[torch.randint(len(mixing_set), (count,), generator=random).to(device, non_blocking=True)]
        picture = picture.float() / 255 if picture.dtype == torch.uint8 else picture
        picture = part_of(picture, images.shape[2], images.shape[3], random)
        other = where(coin(), variation(), picture)
        mine, its = (column(weights, images) for weights in exponents(numbers, count, settings.beta))
        joined = where(coin(), added(mixed, other, mine, its), multiplied(mixed, other, mine, its))
        mixed = where(done < rounds, joined.clamp(0, 1), mixed)
    return mixed


def part_of(pictures: Tensor, height: int, width: int, random: torch.Generator) -> Tensor:
    """A random part of each picture [N,3,h,w]; the picture itself where it is no larger."""
    if pictures.shape[2:] == (height, width):
        return pictures
    room = torch.tensor(pictures.shape[2:]) - torch.tensor([height, width]) + 1
    place = (torch.rand((len(pictures), 2), generator=random) * room).long().to(pictures.device)
    return parts(pictures, place, height, width)


def exponents(numbers: np.random.Generator, count: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """PixMix's pairs (a, b): Beta(beta,1) and Beta(1,beta), or 1 + Beta(1,beta) and -Beta(1,beta), equally often."""
    inside = numbers.random(count) < 0.5
    weak = numbers.beta(1, beta, count)
    mine = np.where(inside, numbers.beta(beta, 1, count), 1 + numbers.beta(1, beta, count))
    return mine, np.where(inside, weak, -weak)


def added(images: Tensor, others: Tensor, mine: Tensor, its: Tensor) -> Tensor:
    """a x + b y on [-1,1]."""
    return (mine * (2 * images - 1) + its * (2 * others - 1) + 1) / 2


def multiplied(images: Tensor, others: Tensor, mine: Tensor, its: Tensor) -> Tensor:
    """x^a y^b on [0,2]; a negative power of 0 is kept finite."""
    return (2 * images) ** mine * (2 * others).clamp(min=1e-4) ** its / 2


def column(values: np.ndarray, images: Tensor) -> Tensor:
    """Numbers [...,N] to be multiplied with images [N,3,H,W]."""
    return torch.from_numpy(np.asarray(values, np.float32)).to(images.device, non_blocking=True)[..., None, None, None]


def where(chosen: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Images of the first where chosen, bool [N], of the second elsewhere."""
    return torch.where(chosen[:, None, None, None], first, second)

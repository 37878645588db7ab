"""RandAugment, AugMix and PixMix of whole batches, before images are normalised."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from synthood.common.seeds import derived_seed, numpy_generator
from synthood.training.augmentation.fractals import fractals
from synthood.training.augmentation.mixing_set import pictures_of
from synthood.training.augmentation.pixels import OPERATIONS, PLAIN, applied
from synthood.training.augmentation.settings import Augmentation, AugMix, PixMix, RandAugment


class PixelAugmentation:
    """What an augmentation does to pixels, in the order RandAugment, AugMix, PixMix."""

    def __init__(self, settings: Augmentation, height: int, width: int, seed: int, device: torch.device) -> None:
        self.settings = settings
        self.mixing_set = torch.empty(0)
        if settings.pixmix and settings.pixmix.pictures:
            self.mixing_set = pictures_of(Path(settings.pixmix.pictures), height, width).to(device)
        elif settings.pixmix:
            made = fractals(settings.pixmix.fractals, max(height, width), derived_seed(seed, "fractals"))
            self.mixing_set = made[:, :, :height, :width].to(device)

    def __call__(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Images uint8 [N,H,W,3] as they are, or as float32 from 0 to 255 where something is done to them."""
        settings = self.settings
        if not (settings.randaugment or settings.augmix or settings.pixmix):
            return images
        changed = images.permute(0, 3, 1, 2).float() / 255
        if settings.randaugment:
            changed = randaugmented(changed, settings.randaugment, random)
        if settings.augmix:
            changed = augmixed(changed, settings.augmix, random)
        if settings.pixmix:
            changed = pixmixed(changed, self.mixing_set, settings.pixmix, random)
        return changed.permute(0, 2, 3, 1) * 255


def randaugmented(images: Tensor, settings: RandAugment, random: torch.Generator) -> Tensor:
    """RandAugment (arXiv 1909.13719): so many operations in turn, of one magnitude in either direction."""
    names, count = tuple(OPERATIONS), len(images)
    for _ in range(settings.operations):
        sign = 1.0 - 2 * torch.randint(2, (count,), generator=random)
        chosen = torch.randint(len(names), (count,), generator=random)
        images = applied(images, names, chosen, sign * settings.magnitude / 30)
    return images


def varied(images: Tensor, severity: int, random: torch.Generator) -> Tensor:
    """One of AugMix's operations on each image, its strength uniform from 0.01 to a tenth of the severity."""
    count = len(images)
    sign = 1.0 - 2 * torch.randint(2, (count,), generator=random)
    strength = 0.01 + (severity / 10 - 0.01) * torch.rand(count, generator=random)
    return applied(images, PLAIN, torch.randint(len(PLAIN), (count,), generator=random), sign * strength)


def augmixed(images: Tensor, settings: AugMix, random: torch.Generator) -> Tensor:
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

    rounds = torch.randint(settings.rounds + 1, (count,), generator=random).to(device, non_blocking=True)
    mixed = where(coin(), varied(images, settings.severity, random), images)
    for done in range(settings.rounds):
        picture = mixing_set[torch.randint(len(mixing_set), (count,), generator=random).to(device, non_blocking=True)]
        picture = picture.float() / 255 if picture.dtype == torch.uint8 else picture
        other = where(coin(), varied(images, settings.severity, random), picture)
        mine, its = (column(weights, images) for weights in exponents(numbers, count, settings.beta))
        joined = where(coin(), added(mixed, other, mine, its), multiplied(mixed, other, mine, its))
        mixed = where(done < rounds, joined.clamp(0, 1), mixed)
    return mixed


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

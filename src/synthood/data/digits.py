"""scikit-learn's digits as 32x32 RGB images, split by class, with nuisance transformations."""

import itertools

import numpy as np

from synthood.common.image_facts import ImageFacts
from synthood.common.images import ImageSet
from synthood.common.seeds import derived_seed
from synthood.data.settings import Digits, IdDigits, Nuisance, ShuffledQuadrants

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE = 32


def enlarged() -> tuple[np.ndarray, np.ndarray]:
    """All digits in [0,1], float32 [1797,32,32] by bilinear interpolation, and their labels int64 [1797]."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    at = np.clip((np.arange(SIDE) + 0.5) / 4 - 0.5, 0, 7)
    low = np.floor(at).astype(int)
    high, weight = np.minimum(low + 1, 7), (at - low).astype(np.float32)
    images = digits.images.astype(np.float32) / 16
    rows = images[:, low] * (1 - weight)[:, None] + images[:, high] * weight[:, None]
    return rows[:, :, low] * (1 - weight) + rows[:, :, high] * weight, digits.target.astype(np.int64)


def transformed(images: np.ndarray, nuisance: Nuisance, seed: int) -> np.ndarray:
    """Rotates, scales and dims each image [N,S,S] by its own draw; image i always gets draw i."""
    from scipy.ndimage import map_coordinates

    count, side = images.shape[:2]
    draw = np.random.default_rng(derived_seed(seed, "nuisance")).random((count, 3))
    angle = np.deg2rad(nuisance.rotation) * (2 * draw[:, 0] - 1)
    scale = nuisance.scale[0] + (nuisance.scale[1] - nuisance.scale[0]) * draw[:, 1]
    contrast = nuisance.contrast[0] + (nuisance.contrast[1] - nuisance.contrast[0]) * draw[:, 2]
    centre = (side - 1) / 2
    y, x = np.meshgrid(np.arange(side) - centre, np.arange(side) - centre, indexing="ij")
    cosine, sine = (np.cos(angle) / scale)[:, None, None], (np.sin(angle) / scale)[:, None, None]
    index = np.broadcast_to(np.arange(count)[:, None, None], (count, side, side))
    source = [index, cosine * y + sine * x + centre, cosine * x - sine * y + centre]
    moved = map_coordinates(images, source, order=1, mode="nearest")
    return moved * contrast[:, None, None].astype(np.float32)


def rgb(images: np.ndarray) -> np.ndarray:
    """Grey [N,S,S] in [0,1] as uint8 [N,S,S,3]."""
    return np.repeat(np.clip(np.rint(images * 255), 0, 255).astype(np.uint8)[..., None], 3, axis=3)


def of_classes(settings: Digits) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 and labels (index into `settings.classes`) of the chosen digits, in scikit-learn's order."""
    images, digits = enlarged()
    images = transformed(images, settings.nuisance, settings.seed)
    chosen = np.isin(digits, settings.classes)
    position = np.zeros(10, np.int64)
    position[settings.classes] = np.arange(len(settings.classes))
    return rgb(images[chosen]), position[digits[chosen]]


def id_split(settings: IdDigits) -> dict[str, ImageSet]:
    """Parts train, val and test, drawn class by class with the seed."""
    images, labels = of_classes(settings)
    chosen: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    bounds = [settings.train_per_class, settings.train_per_class + settings.val_per_class]
    for label in range(len(settings.classes)):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng(derived_seed(settings.seed, "split", label)).permutation(members)
        for part, indices in zip(chosen, np.split(order, bounds), strict=True):
            chosen[part].append(indices)
    classes = [WORDS[digit] for digit in settings.classes]
    result = {}
    for part, lists in chosen.items():
        indices = np.sort(np.concatenate(lists))
        result[part] = ImageSet(images[indices], labels[indices], classes, facts=facts(images[indices]))
    return result


def facts(images: np.ndarray) -> ImageFacts:
    """Where digits come from."""
    return ImageFacts.of(images, 8, "computed", f"shorter side to {SIDE} px, bilinear")


def extra_digits(settings: Digits) -> ImageSet:
    """All images of further digits, with labels and class words."""
    images, labels = of_classes(settings)
    return ImageSet(images, labels, [WORDS[digit] for digit in settings.classes], facts=facts(images))


def shuffled_quadrants(settings: ShuffledQuadrants, validation: ImageSet) -> ImageSet:
    """Validation images with their quadrants in one of the 23 other orders.

    Of an odd side the middle row or column stays where it is.
    """
    draw = np.random.default_rng(derived_seed(settings.seed, "quadrants"))
    images = validation.images[np.arange(settings.images) % len(validation)]
    count, height, width = images.shape[:3]
    tops, lefts = (slice(height // 2), slice(-(height // 2), None)), (slice(width // 2), slice(-(width // 2), None))
    places = list(itertools.product(tops, lefts))
    quadrants = np.stack([images[:, top, left] for top, left in places], axis=1)
    orders = np.array(list(itertools.permutations(range(4)))[1:])
    order = orders[draw.integers(len(orders), size=count)]
    for position, (top, left) in enumerate(places):
        images[:, top, left] = quadrants[np.arange(count), order[:, position]]
    return ImageSet.out_of_distribution(images, validation.facts)

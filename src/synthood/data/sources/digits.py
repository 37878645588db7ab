"""scikit-learn's digits as 32x32 RGB images, split by class, with nuisance transformations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common.image_facts import ImageFacts
from synthood.common.images import ImageSet
from synthood.common.lazy import np
from synthood.common.seeds import derived_seed
from synthood.common.settings import Count, Positive, Seed, Settings, unless
from synthood.data.claims import Choice, Claim
from synthood.data.selection import Selection
from synthood.data.sources.base import IdSource, SetSource, Source

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE = 32
Factor = Annotated[Positive, unless(lambda value: value > 10, "expected a factor, not percent: 1.1, not 110")]


class Nuisance(Settings):
    """Transformations drawn once per image, that make the task harder: all uniform within their bounds."""

    rotation: Annotated[
        float,
        unless(lambda value: 0 < value < 1, "expected degrees, not radians: 10, not 0.17"),
        Field(ge=0, le=180, description="degrees, drawn from [-rotation, rotation]"),
    ] = 0.0
    scale: Annotated[tuple[Factor, Factor], Field(description="factor of the size, from low to high")] = (1.0, 1.0)
    contrast: Annotated[tuple[Factor, Factor], Field(description="factor of the brightness, from low to high")] = (
        1.0,
        1.0,
    )

    @model_validator(mode="after")
    def _low_before_high(self) -> Nuisance:
        for key in ("scale", "contrast"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"{key} must run from low to high, got {low} to {high}")
        return self


class InDigits(Source):
    """scikit-learn's 1,797 handwritten digits, enlarged from 8x8 to 32x32 RGB."""

    classes: Annotated[list[Annotated[int, Field(ge=0, le=9)]], Field(min_length=1, description="digits")]
    nuisance: Nuisance = Nuisance()
    seed: Seed = 0

    @model_validator(mode="after")
    def _each_class_once(self) -> InDigits:
        twice = [digit for digit in self.classes if self.classes.count(digit) > 1]
        if twice:
            raise ValueError(f"classes: {twice[0]} stands twice; name each once")
        return self

    @property
    def side(self) -> int:
        return SIDE

    @property
    def contents(self) -> list[str]:
        return [f"digit {digit}" for digit in self.classes]

    def claims(self, part: str) -> list[Claim]:
        # ID digits are split by number, and no set may hold their classes.
        return [Claim("digits", choice=Choice(frozenset(self.classes), but=False))]


class Digits(InDigits, SetSource):
    """scikit-learn's 1,797 handwritten digits, enlarged from 8x8 to 32x32 RGB."""

    kind: Literal["digits"] = "digits"

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        digits = extra_digits(self)
        return digits.out_of_distribution(digits.images, digits.facts) if part.ood else digits


class IdDigits(InDigits, IdSource):
    """The digits that the classifier is taught, split by class: what train and val leave is the test set."""

    kind: Literal["digits"] = "digits"
    train_per_class: Annotated[Count, Field(description="training images of each class")]
    val_per_class: Annotated[Count, Field(description="validation images of each class")]

    @property
    def class_count(self) -> int:
        return len(self.classes)

    @model_validator(mode="after")
    def _leaves_a_test_set(self) -> IdDigits:
        smallest = 174
        if self.train_per_class + self.val_per_class > smallest - 20:
            raise ValueError(
                f"train_per_class + val_per_class must leave 20 test images of the rarest digit, "
                f"so be at most {smallest - 20}"
            )
        return self

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        return id_split(self)[part.part]


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


def of_classes(settings: InDigits) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 and labels (index into `settings.classes`) of the chosen digits, in scikit-learn's order."""
    images, digits = enlarged()
    images = transformed(images, settings.nuisance, settings.seed)
    chosen = np.isin(digits, settings.classes)
    position = np.zeros(10, np.int64)
    position[settings.classes] = np.arange(len(settings.classes))
    return rgb(images[chosen]), position[digits[chosen]]


def id_split(settings: IdDigits) -> dict[str, ImageSet]:
    """Parts train, val and test, drawn class by class with the seed."""
    from synthood.common.images import ImageSet

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
    from synthood.common.image_facts import ImageFacts

    return ImageFacts.of(images, 8, "computed", f"shorter side to {SIDE} px, bilinear")


def extra_digits(settings: InDigits) -> ImageSet:
    """All images of further digits, with labels and class words."""
    from synthood.common.images import ImageSet

    images, labels = of_classes(settings)
    return ImageSet(images, labels, [WORDS[digit] for digit in settings.classes], facts=facts(images))

"""Images of a user: a function or a class in a Python file of theirs."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from synthood.common import image_facts, images
from synthood.common.images import ImageSet
from synthood.common.lazy import np
from synthood.common.user_code import call, load
from synthood.data.claims import Claim
from synthood.data.files.listing import Listing, Splits, id_listing
from synthood.data.files.settings import IdShares, Text, Words
from synthood.data.selection import SPLITS, Selection, Split
from synthood.data.sources.arrays import resized, whole_labels
from synthood.data.sources.base import IdSource, LabelledSet, Source
from synthood.errors import SynthoodError

Value = bool | int | float | str
SMALLEST = 8
"""Pixels a side below which images say nothing."""


class FromFile(Source):
    """What sets and ID images from a file of the user's share."""

    file: Annotated[str, Field(pattern=r"\.py$", description="a Python file, relative to where snakemake runs")]
    function: Annotated[
        str | None, Field(pattern=r"^[A-Za-z_]\w*$", description="the function in it; default: images")
    ] = None
    class_: Annotated[
        str | None, Field(alias="class", pattern=r"^[A-Za-z_]\w*$", description="or a class, with a method `images`")
    ] = None
    values: Annotated[
        dict[str, Value | list[Value]], Field(description="further keyword arguments of the function or the class")
    ] = {}
    reads: Annotated[list[Text], Field(description="files and folders that it reads; a change of them is noticed")] = []
    size: Annotated[
        int | None,
        Field(ge=SMALLEST, le=1024, description="side in pixels: the shorter side is resized, the centre cut out"),
    ] = None

    @model_validator(mode="after")
    def _function_or_class(self) -> Self:
        if self.function and self.class_:
            raise ValueError("name a function or a class, not both")
        return self

    @property
    def name(self) -> str:
        """What is looked for in the file."""
        return self.class_ or self.function or "images"

    @property
    def where(self) -> str:
        """The file and what is in it, for messages."""
        return f"{self.file}: {self.name}"

    @property
    def nature(self) -> str:
        return f"images of {self.file}"

    def files(self) -> list[str]:
        return [self.file]

    def raw_paths(self, part: Selection) -> list[Path]:
        return [Path(path) for path in self.reads]

    def claims(self, part: str) -> list[Claim]:
        return [Claim(f"{self.kind} {self.name} {self.values}", (self.file,), self.split_of(part))]

    def dry_run(self, side: int = 32) -> None:
        self.load()

    def split_of(self, part: str) -> str:
        """The split that the function is asked for."""
        return part

    def load(self) -> Any:
        """Runs the file; a function of the split. Raises SynthoodError with file and line."""
        found, values = load(self.file, self.name), copy.deepcopy(self.values)
        if self.class_ is None:
            return partial(found, **values)
        made = call(self.where, found, **values)
        if not callable(getattr(made, "images", None)):
            raise SynthoodError(f"{self.where}: has no method `images`, which gives the images of a split")
        return made.images

    def answer(self, split: str) -> Listing:
        """Images uint8 [N,H,W,3] of a split, and their labels where there are some.

        The file is run twice; raises SynthoodError where the two answers differ.
        """
        first, second = self._once(split), self._once(split)
        for what in ("images", "labels", "classes"):
            if not np.array_equal(getattr(first, what), getattr(second, what)):
                raise SynthoodError(
                    f"{self.where}: called twice for {split}, it gives different {what}; draw from a generator with a "
                    f"fixed seed, and do not read files in the order of the disk"
                )
        return first

    def _once(self, split: str) -> Listing:
        pixels, labels, names = call(self.where, self._called, split)
        where = f"{self.where}, split {split}"
        if labels is None:
            return Listing(pixels, np.full(len(pixels), images.OOD_LABEL, np.int64), [], where)
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name.strip() for name in names):
            raise SynthoodError(f"{where}: classes must be a list of names, got {names!r:.80}")
        if len(set(names)) < len(names):
            raise SynthoodError(f"{where}: classes name {max(names, key=list(names).count)!r} twice")
        numbers = np.asarray(labels)
        if numbers.shape != (len(pixels),):
            raise SynthoodError(f"{where}: {len(pixels)} images and labels of shape {numbers.shape}")
        numbers = whole_labels(numbers, where)
        if wrong := [int(one) for one in np.unique(numbers) if not 0 <= one < len(names)]:
            raise SynthoodError(
                f"{where}: label {wrong[0]}, but labels of {len(names)} classes run from 0 to {len(names) - 1}"
            )
        return Listing(pixels, numbers, list(names), where)

    def _called(self, split: str) -> tuple[np.ndarray, Any, Any]:
        """Images as one array, labels and classes, these as they come."""
        found = self.load()(split)
        found, labels, names = found if isinstance(found, tuple) and len(found) == 3 else (found, None, None)
        if isinstance(found, str | bytes | dict | tuple) or not hasattr(found, "__iter__"):
            kind = type(found).__name__
            raise SynthoodError(
                f"{self.where}: must return images, or images, labels and classes (a tuple of three), got {kind}"
            )
        pixels: list[np.ndarray] = []
        for index, image in enumerate(found):
            if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,):
                what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
                raise SynthoodError(f"{self.where}: image {index} must be uint8 [H,W,3] from 0 to 255, got {what}")
            if min(image.shape[:2]) < SMALLEST or image.shape != (pixels or [image])[0].shape:
                sides, first = (f"{one.shape[1]}x{one.shape[0]} px" for one in (image, (pixels or [image])[0]))
                wanted = f"at least {SMALLEST} a side are needed" if sides == first else f"the first has {first}"
                raise SynthoodError(f"{self.where}: image {index} has {sides}, but {wanted}")
            pixels.append(image.copy())
        if not pixels:
            raise SynthoodError(f"{self.where}: no images of split {split}")
        return np.stack(pixels), labels, names

    def image_set(self, listing: Listing, ood: bool) -> ImageSet:
        """The images of a listing, resized and cut where asked."""
        pixels = listing.images
        assert isinstance(pixels, np.ndarray)
        height, width = pixels.shape[1:3]
        native, rule = image_facts.history(width, height, self.size)
        if self.size is not None and (height, width) != (self.size, self.size):
            pixels = resized(pixels, self.size)
        if ood:
            found = images.ImageSet.out_of_distribution(pixels)
        else:
            found = images.ImageSet(pixels, listing.labels, listing.classes)
        found.facts = image_facts.ImageFacts.of(pixels, native, "array", rule)
        cut = f"images of {width}x{height} px became {self.size}x{self.size}: resized, and the centre cut"
        found.notes = [*listing.notes, *([cut] if self.size is not None and width != height else [])]
        return found


class Custom(FromFile, LabelledSet):
    """A function of yours: `images(split, **values)` gives images, or images, labels and the classes' names."""

    by_class = True

    kind: Literal["custom"] = "custom"
    split: Annotated[Split, Field(description="the split that it is asked for")] = "test"

    @property
    def origin(self) -> str:
        return self.file

    def split_of(self, part: str) -> str:
        return self.split

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        listing = self.answer(self.split)
        if isinstance(part.taught, IdSource):
            listing = listing.labelled_as(part.taught.classes_by_label())
        elif not part.ood and not listing.classes:
            raise SynthoodError(f"{self.where}: gives images alone; this set needs labels and classes as well")
        return self.image_set(listing, part.ood)


class IdCustom(FromFile, IdSource, IdShares):
    """A function of yours: `images(split, **values)` gives the images, labels and classes of train, val and test."""

    by_class = True

    kind: Literal["custom"] = "custom"
    classes: Annotated[Words, Field(description="names of labels 0, 1, ..., as the function gives them")]

    @property
    def class_count(self) -> int:
        return len(self.classes_by_label())

    def classes_by_label(self) -> list[str]:
        return [name for name in self.classes if name not in self.except_classes]

    def labelled(self, split: str) -> Listing:
        """The images of a split; raises SynthoodError where the classes are not the configured ones."""
        listing = self.answer(split)
        if listing.classes != self.classes:
            found = ", ".join(listing.classes) or "none"
            wanted = ", ".join(self.classes)
            raise SynthoodError(f"{listing.origin}: its classes are {found}, but the configuration says {wanted}")
        return listing

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        splits: Splits = {split: partial(self.labelled, split) for split in SPLITS}
        return self.image_set(id_listing(splits, part, self), part.ood)

"""Settings of the `datasets` section: where ID images, OOD sets and the OOD validation set come from."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from synthood.common.settings import Count, Name, Positive, Seed, Settings, unless
from synthood.data.files.settings import (
    Arrays,
    ClassName,
    ExceptClasses,
    FileSource,
    Folders,
    IdArrays,
    IdFileSource,
    Imglist,
    Manifest,
    left_out,
)
from synthood.data.overlap_settings import ID_PARTS, AllowedOverlap
from synthood.data.same_files import same_files

Split = Literal["train", "val", "test"]
RESERVED_PARTS = (*ID_PARTS, "ood_validation")


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
    def _low_before_high(self) -> "Nuisance":
        for key in ("scale", "contrast"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"{key} must run from low to high, got {low} to {high}")
        return self


class Digits(Settings):
    """scikit-learn's 1,797 handwritten digits, enlarged from 8x8 to 32x32 RGB."""

    kind: Literal["digits"]
    classes: Annotated[list[Annotated[int, Field(ge=0, le=9)]], Field(min_length=1, description="digits")]
    nuisance: Nuisance = Nuisance()
    seed: Seed = 0

    @model_validator(mode="after")
    def _each_class_once(self) -> "Digits":
        twice = [digit for digit in self.classes if self.classes.count(digit) > 1]
        if twice:
            raise ValueError(f"classes: {twice[0]} is given twice; name each once")
        return self


class IdDigits(Digits):
    """The digits that the classifier is taught, split by class: what train and val leave is the test set."""

    train_per_class: Annotated[Count, Field(description="training images of each class")]
    val_per_class: Annotated[Count, Field(description="validation images of each class")]

    @property
    def class_count(self) -> int:
        return len(self.classes)

    @model_validator(mode="after")
    def _leaves_a_test_set(self) -> "IdDigits":
        smallest = 174
        if self.train_per_class + self.val_per_class > smallest - 20:
            raise ValueError(
                f"train_per_class + val_per_class must leave 20 test images of the rarest digit, "
                f"so be at most {smallest - 20}"
            )
        return self


class Computed(Settings):
    """Images that are made here, of the ID images' size."""

    images: Annotated[Count, Field(description="how many")]
    seed: Seed = 0
    size: Annotated[int | None, Field(ge=8, le=1024, description="side in pixels; default: as the ID images")] = None


class PhotoPatches(Computed):
    """Patches of scikit-learn's two photographs of 640x427 px (a temple, a flower), as large as the ID images."""

    kind: Literal["photo-patches"]


class Textures(Computed):
    """Gratings, checkerboards and filtered noise, in colour."""

    kind: Literal["textures"]


class Noise(Computed):
    """Independent uniform pixels."""

    kind: Literal["noise"]


class ShuffledQuadrants(Settings):
    """Digits of the ID validation images with their four quadrants permuted: OOD without new content."""

    kind: Literal["shuffled-quadrants"]
    images: Annotated[Count, Field(description="how many")]
    seed: Seed = 0


class HeldOutClasses(Settings):
    """Classes of the ID images that nothing is taught: all their images, of every split."""

    kind: Literal["held-out-classes"]
    classes: Annotated[list[ClassName], Field(min_length=1, description="they leave the ID images")]
    splits: Annotated[list[Split], Field(min_length=1, description="images of these splits alone; default: all")] = []


IdSource = Annotated[IdDigits | IdArrays | IdFileSource, Field(discriminator="kind")]
Source = Annotated[
    Digits | Arrays | FileSource | HeldOutClasses | PhotoPatches | Textures | Noise | ShuffledQuadrants,
    Field(discriminator="kind"),
]
OodSets = dict[Name, Source]
SIDES = {"digits": 32, "cifar10": 32, "cifar100": 32, "svhn": 32, "mnist": 28, "fashion-mnist": 28}
"""Pixels of the images of some kinds, where nothing resizes them."""


def known_size(source: Settings) -> int | None:
    """Side of a source's images in the end, where the configuration alone decides it."""
    return getattr(source, "size", None) or SIDES.get(getattr(source, "kind", ""))


class DatasetSettings(Settings):
    """An ID benchmark: ID images, near and far OOD test sets, and one OOD validation set apart from them."""

    id: Annotated[IdSource, Field(description="the images the classifier is taught")]
    extra: Annotated[
        OodSets, Field(description="sets that only generators and `exposure` may learn from; never tested on")
    ] = {}
    near: Annotated[OodSets, Field(description="OOD test sets like the ID images; near or far may be left out")] = {}
    far: Annotated[OodSets, Field(description="OOD test sets unlike the ID images; near or far may be left out")] = {}
    shifted: Annotated[OodSets, Field(description="ID classes in other circumstances, for the full spectrum")] = {}
    ood_validation: Annotated[Source, Field(description="for hyperparameter search; disjoint from every test set")]
    allow_overlap: Annotated[
        list[AllowedOverlap],
        Field(description="parts that may share images with identical pixels; all others may not"),
    ] = []

    @model_validator(mode="after")
    def _something_is_tested(self) -> "DatasetSettings":
        if not self.ood_sets:
            raise ValueError("no OOD test set; name one under `near` or `far`")
        return self

    @model_validator(mode="after")
    def _part_names_are_unique(self) -> "DatasetSettings":
        names = [*RESERVED_PARTS, *self.extra, *self.near, *self.far, *self.shifted]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"a set's name may stand once and not be one of {', '.join(RESERVED_PARTS)}: {twice[0]}")
        return self

    @model_validator(mode="after")
    def _tests_are_new_to_everyone(self) -> "DatasetSettings":
        taught = set(self.id.classes) if isinstance(self.id, IdDigits) else set()
        for source in self.extra.values():
            taught |= set(source.classes) if isinstance(source, Digits) else set()
        for name, source in {**self.near, **self.far, "ood_validation": self.ood_validation}.items():
            if isinstance(source, Digits) and taught & set(source.classes):
                raise ValueError(
                    f"OOD set {name} holds digit {min(taught & set(source.classes))}, "
                    f"which a classifier or generator is taught"
                )
        return self

    @model_validator(mode="after")
    def _shifted_sets_have_the_taught_classes(self) -> "DatasetSettings":
        for name, source in self.shifted.items():
            if not isinstance(source, Folders | Manifest | Imglist) or not isinstance(self.id, IdFileSource):
                raise ValueError(
                    f"shifted.{name}: of kind {source.kind} beside ID images of kind {self.id.kind}; shifted sets and "
                    f"the ID images beside them must be folders, a manifest or an imglist, which tell the classes"
                )
        return self

    @model_validator(mode="after")
    def _all_images_have_one_size(self) -> "DatasetSettings":
        sizes = self._known_sizes()
        first = next(iter(sizes), "")
        for name, size in sizes.items():
            if size != sizes[first]:
                key, value = (first, size) if not hasattr(self._by_key()[name], "size") else (name, sizes[first])
                raise ValueError(
                    f"{name}: images of {size} px, but those of {first} have {sizes[first]} px, so a detector needs "
                    f"nothing but the size; set `size: {value}` in {key}"
                )
        return self

    @model_validator(mode="after")
    def _held_out_classes_leave_the_id_images(self) -> "DatasetSettings":
        names = self.held_out
        if names and not isinstance(self.id, ExceptClasses):
            raise ValueError(f"held-out-classes: none can be taken out of ID images of kind {self.id.kind}")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"held-out-classes: {twice[0]!r} is given twice; an image belongs to one set")
        if isinstance(self.id, ExceptClasses):
            left_out(self.id.words, [*self.id.except_classes, *names])
        return self

    @model_validator(mode="after")
    def _parts_are_read_from_different_images(self) -> "DatasetSettings":
        for allowed in self.allow_overlap:
            unknown = [name for name in allowed.parts if name not in (*self.evaluated_parts, *self.extra)]
            if unknown:
                raise ValueError(f"allow_overlap: the dataset has no part {unknown[0]!r}")
        may = [set(allowed.parts) for allowed in self.allow_overlap]
        sets = {"ood_validation": self.ood_validation, **self.near, **self.far, **self.shifted}
        found = [each for each in same_files(self.taught, sets, self.extra) if set(each[:2]) not in may]
        if found:
            one, other, what = found[0]
            entries = ", ".join(f"{{parts: [{a}, {b}]}}" for a, b, _ in found)
            raise ValueError(
                f"{one} and {other} share images, since both are made from {what}; take others for one of them, "
                f"or allow it by `allow_overlap: [{entries}]`"
            )
        return self

    @property
    def held_out_sets(self) -> dict[str, HeldOutClasses]:
        """Sets made of classes of the ID source, by their key path below the dataset."""
        roles = {"extra": self.extra, "near": self.near, "far": self.far}
        sets = {f"{role}.{name}": source for role, named in roles.items() for name, source in named.items()}
        sets["ood_validation"] = self.ood_validation
        return {key: source for key, source in sets.items() if isinstance(source, HeldOutClasses)}

    @property
    def held_out(self) -> list[str]:
        """Classes of the ID source that make OOD sets."""
        return [name for source in self.held_out_sets.values() for name in source.classes]

    @property
    def taught(self) -> IdSource:
        """The ID source without the classes that make OOD sets."""
        if not isinstance(self.id, ExceptClasses) or not self.held_out:
            return self.id
        return self.id.model_copy(update={"except_classes": sorted({*self.id.except_classes, *self.held_out})})

    @property
    def side(self) -> int | None:
        """Side of the ID images in pixels, where the configuration says it."""
        return known_size(self.id)

    def _by_key(self) -> dict[str, Settings]:
        """Sources by their keys, the ID images first."""
        roles = {"extra": self.extra, "near": self.near, "far": self.far, "shifted": self.shifted}
        sets = {f"{role}.{name}": source for role, sources in roles.items() for name, source in sources.items()}
        return {"id": self.id, **sets, "ood_validation": self.ood_validation}

    def _known_sizes(self) -> dict[str, int]:
        return {name: size for name, source in self._by_key().items() if (size := known_size(source)) is not None}

    @property
    def ood_sets(self) -> list[str]:
        return [*self.near, *self.far]

    @property
    def evaluated_parts(self) -> list[str]:
        return [*RESERVED_PARTS, *self.ood_sets, *self.shifted]

    def source(self, part: str) -> Settings:
        """What the part is made from; train, val and test share the ID source."""
        if part in ("train", "val", "test"):
            return self.taught
        if part == "ood_validation":
            return self.ood_validation
        return {**self.extra, **self.near, **self.far, **self.shifted}[part]


_SOURCES: dict[bool, TypeAdapter[Settings]] = {True: TypeAdapter(IdSource), False: TypeAdapter(Source)}


class PartSettings(Settings):
    """One job of `prepare`: a part of a dataset and what it is made from."""

    part: Name
    ood: Annotated[bool, Field(description="labels are -1, whatever the source")] = False
    source: IdSource | Source
    validation: Annotated[
        IdSource | None, Field(description="ID images that a computed set is made of, or has the size of")
    ] = None
    held_out: Annotated[list[ClassName], Field(description="the images of these classes of an ID source alone")] = []
    held_out_splits: Annotated[list[Split], Field(description="of these splits; default: all")] = []
    taught: Annotated[IdSource | None, Field(description="whose classes a shifted set's labels are")] = None
    side: Annotated[int | None, Field(description="side of the ID images, which must be that of these")] = None

    @model_validator(mode="before")
    @classmethod
    def _source_by_part(cls, values: Any) -> Any:
        """Kinds that stand for ID images and for sets alike are told apart by the part."""
        if not isinstance(values, dict):
            return values
        # What has been parsed from JSON is parsed from JSON again, since lists stand for tuples there alone.
        id_like = values.get("part") in ID_PARTS or bool(values.get("held_out"))
        for key, is_id in (("source", id_like), ("validation", True), ("taught", True)):
            if isinstance(values.get(key), dict):
                values = {**values, key: _SOURCES[is_id].validate_json(json.dumps(values[key]))}
        return values

"""Settings of the `datasets` section: where ID images, OOD sets and the OOD validation set come from."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from synthood.common.settings import Count, Name, Positive, Seed, Settings, unless
from synthood.data.files.settings import (
    Arrays,
    ExceptClasses,
    Files,
    FileSource,
    Folders,
    IdArrays,
    IdFileSource,
    Imglist,
    Manifest,
    Text,
    left_out,
)

ID_PARTS = ("train", "val", "test")
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
    classes: Annotated[list[Annotated[int, Field(ge=0, le=9)]], Field(min_length=1)]
    nuisance: Nuisance = Nuisance()
    seed: Seed = 0

    @model_validator(mode="after")
    def _each_class_once(self) -> "Digits":
        twice = [digit for digit in self.classes if self.classes.count(digit) > 1]
        if twice:
            raise ValueError(f"classes: {twice[0]} stands twice; name each once")
        return self


class IdDigits(Digits):
    """The digits that the classifier is taught, split by class: what train and val leave is the test set."""

    train_per_class: Count
    val_per_class: Count

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


class PhotoPatches(Settings):
    """32x32 patches of scikit-learn's two photographs (a temple, a flower)."""

    kind: Literal["photo-patches"]
    images: Count
    seed: Seed = 0


class Textures(Settings):
    """Gratings, checkerboards and filtered noise, in colour."""

    kind: Literal["textures"]
    images: Count
    seed: Seed = 0


class Noise(Settings):
    """Independent uniform pixels."""

    kind: Literal["noise"]
    images: Count
    seed: Seed = 0


class ShuffledQuadrants(Settings):
    """Digits of the ID validation images with their four quadrants permuted: OOD without new content."""

    kind: Literal["shuffled-quadrants"]
    images: Count
    seed: Seed = 0


class HeldOutClasses(Settings):
    """Classes of the ID images that nothing is taught: all their images, or of a divided source its test images."""

    kind: Literal["held-out-classes"]
    classes: Annotated[list[Text], Field(min_length=1, description="they leave the ID images")]


IdSource = Annotated[IdDigits | IdArrays | IdFileSource, Field(discriminator="kind")]
Source = Annotated[
    Digits | Arrays | FileSource | HeldOutClasses | PhotoPatches | Textures | Noise | ShuffledQuadrants,
    Field(discriminator="kind"),
]
OodSets = dict[Name, Source]


def origin(source: Settings) -> str:
    """The files of a set, whatever is done to their images, as text; empty where there are none."""
    pixels = {*Files.model_fields, "count", "reported_count", "classes"} - {"path"}
    return source.model_dump_json(exclude=pixels) if isinstance(source, Files | Arrays) else ""


class DatasetSettings(Settings):
    """An ID benchmark: ID images, near and far OOD test sets, and one OOD validation set apart from them."""

    id: Annotated[IdSource, Field(description="the images the classifier is taught")]
    extra: Annotated[
        OodSets, Field(description="sets that only generators and `exposure` may learn from; never tested on")
    ] = {}
    near: Annotated[OodSets, Field(min_length=1)]
    far: Annotated[OodSets, Field(min_length=1)]
    shifted: Annotated[OodSets, Field(description="ID classes in other circumstances, for the full spectrum")] = {}
    ood_validation: Annotated[Source, Field(description="for hyperparameter search; disjoint from every test set")]

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
    def _validation_is_apart_from_tests(self) -> "DatasetSettings":
        validation = self.ood_validation
        for name, source in {**self.near, **self.far}.items():
            shared: set[int] = set()
            if isinstance(source, Digits) and isinstance(validation, Digits):
                shared = set(source.classes) & set(validation.classes)
            if source == validation or shared or (origin(source) and origin(source) == origin(validation)):
                raise ValueError(f"ood_validation shares images with the test set {name}; take others")
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
    def _held_out_classes_leave_the_id_images(self) -> "DatasetSettings":
        names = self.held_out
        if names and not isinstance(self.id, ExceptClasses):
            raise ValueError(f"held-out-classes: none can be taken out of ID images of kind {self.id.kind}")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"held-out-classes: {twice[0]!r} stands twice; an image belongs to one set")
        if isinstance(self.id, ExceptClasses):
            left_out(self.id.words, [*self.id.except_classes, *names])
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
    validation: IdSource | None = None
    held_out: Annotated[list[Text], Field(description="the images of these classes of an ID source alone")] = []
    taught: Annotated[IdSource | None, Field(description="whose classes a shifted set's labels are")] = None

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

"""Settings of the `datasets` section: where ID images, OOD sets and the OOD validation set come from."""

from typing import Annotated

from pydantic import Field, model_validator

from synthood.common.settings import Name, Settings
from synthood.data.files.settings import ExceptClasses, left_out
from synthood.data.overlap_settings import CALIBRATION, ID_PARTS, AllowedOverlap
from synthood.data.part_settings import AnyIdSource, AnySource, PartSettings
from synthood.data.same_files import same_files
from synthood.data.sources.base import IdSource, SetSource, Source

RESERVED_PARTS = (*ID_PARTS, "ood_validation")
OodSets = dict[Name, AnySource]


class DatasetSettings(Settings):
    """An ID benchmark: ID images, near and far OOD test sets, and one OOD validation set apart from them."""

    id: Annotated[AnyIdSource, Field(description="the images the classifier is taught")]
    extra: Annotated[
        OodSets, Field(description="sets that only generators and `exposure` may learn from; never tested on")
    ] = {}
    near: Annotated[OodSets, Field(description="OOD test sets like the ID images; near or far may be left out")] = {}
    far: Annotated[OodSets, Field(description="OOD test sets unlike the ID images; near or far may be left out")] = {}
    calibration: Annotated[
        float | None,
        Field(gt=0, lt=1, description="share of the validation images that serves thresholds alone (`deploy`)"),
    ] = None
    shifted: Annotated[OodSets, Field(description="ID classes in other circumstances, for the full spectrum")] = {}
    ood_validation: Annotated[AnySource, Field(description="for hyperparameter search; disjoint from every test set")]
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
        taught = {one for source in (self.id, *self.extra.values()) for one in source.contents}
        for name, source in {**self.near, **self.far, "ood_validation": self.ood_validation}.items():
            if both := taught & set(source.contents):
                raise ValueError(f"OOD set {name} holds {min(both)}, which a classifier or generator is taught")
        return self

    @model_validator(mode="after")
    def _shifted_sets_have_the_taught_classes(self) -> "DatasetSettings":
        for name, source in self.shifted.items():
            if not source.by_class or not self.id.by_class:
                raise ValueError(
                    f"shifted.{name}: of kind {source.kind} beside ID images of kind {self.id.kind}; shifted sets and "
                    f"the ID images must be folders, a manifest, an imglist or custom, which tell the classes"
                )
        return self

    @model_validator(mode="after")
    def _all_images_have_one_size(self) -> "DatasetSettings":
        sizes = self._known_sizes()
        first = next(iter(sizes), "")
        for name, size in sizes.items():
            if size != sizes[first]:
                has_key = "size" in type(self._by_key()[name]).model_fields
                key, value = (name, sizes[first]) if has_key else (first, size)
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
    def held_out_sets(self) -> dict[str, SetSource]:
        """Sets made of classes of the ID source, by their key path below the dataset."""
        roles = {"extra": self.extra, "near": self.near, "far": self.far}
        sets = {f"{role}.{name}": source for role, named in roles.items() for name, source in named.items()}
        sets["ood_validation"] = self.ood_validation
        return {key: source for key, source in sets.items() if source.id_classes}

    @property
    def held_out(self) -> list[str]:
        """Classes of the ID source that make OOD sets."""
        return [name for source in self.held_out_sets.values() for name in source.id_classes]

    @property
    def taught(self) -> IdSource:
        """The ID source without the classes that make OOD sets."""
        if not isinstance(self.id, ExceptClasses) or not self.held_out:
            return self.id
        return self.id.model_copy(update={"except_classes": sorted({*self.id.except_classes, *self.held_out})})

    def part(self, name: str) -> PartSettings:
        """What the job that prepares a part needs."""
        ood = name in (*self.ood_sets, "ood_validation")
        source = self.source(name)
        values = source.of_dataset(self.id, self.taught) if isinstance(source, SetSource) else {"source": source}
        taught = {"taught": self.taught} if name in self.shifted else {}
        drawn = name in ("val", CALIBRATION) or (isinstance(source, SetSource) and source.of_validation)
        calibration = {"calibration": self.calibration} if drawn and self.calibration is not None else {}
        return PartSettings.model_validate({"part": name, "ood": ood, **values, **taught, **calibration})

    @property
    def side(self) -> int | None:
        """Side of the ID images in pixels, where the configuration says it."""
        return self.id.side

    def _by_key(self) -> dict[str, Source]:
        """Sources by their keys, the ID images first."""
        roles = {"extra": self.extra, "near": self.near, "far": self.far, "shifted": self.shifted}
        sets = {f"{role}.{name}": source for role, sources in roles.items() for name, source in sources.items()}
        return {"id": self.id, **sets, "ood_validation": self.ood_validation}

    def _known_sizes(self) -> dict[str, int]:
        return {name: size for name, source in self._by_key().items() if (size := source.side) is not None}

    @property
    def ood_sets(self) -> list[str]:
        return [*self.near, *self.far]

    @property
    def id_parts(self) -> list[str]:
        """The ID parts; `calibration` where it has a share."""
        return [part for part in ID_PARTS if part != CALIBRATION or self.calibration is not None]

    @property
    def evaluated_parts(self) -> list[str]:
        return [*self.id_parts, "ood_validation", *self.ood_sets, *self.shifted]

    def source(self, part: str) -> Source:
        """What the part is made from; the ID parts share the ID source."""
        if part in ID_PARTS:
            return self.taught
        if part == "ood_validation":
            return self.ood_validation
        return {**self.extra, **self.near, **self.far, **self.shifted}[part]

"""Settings that sources share: how files become pixels, which classes are left out, how images are shared out."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from synthood.common.settings import Interpolation, Seed, Settings
from synthood.data.files.names import is_number, misnumbered, normal


def _class_name(name: str) -> str:
    if not name.strip():
        raise ValueError("a class needs a name")
    return normal(name)


def _distinct(names: list[str]) -> list[str]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"class {twice!r} is named twice; name each class once")
    if sorted(int(name) for name in names if is_number(name)) == list(range(len(names))) and misnumbered(names):
        raise ValueError(f"number {misnumbered(names)} is not at its own place; name the classes 0, 1, 2, ... in order")
    return names


Text = Annotated[str, Field(min_length=1)]
ClassName = Annotated[str, Field(min_length=1), AfterValidator(_class_name)]
Words = Annotated[
    list[ClassName], Field(min_length=2, description="names of labels 0, 1, ..."), AfterValidator(_distinct)
]
OneOrMore = Text | Annotated[list[Text], Field(min_length=1)]
Labels = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Files(Settings):
    """What all sources in files share: where they lie, and how a file becomes pixels."""

    path: Annotated[Text, Field(description="relative to where snakemake runs; data that is there is enough")]
    size: Annotated[
        int | None, Field(ge=8, le=1024, description="side in pixels: the shorter side is resized, the centre cut out")
    ] = None
    resize: Annotated[int | None, Field(ge=8, le=2048, description="shorter side before the cut; default: size")] = None
    interpolation: Annotated[
        Interpolation, Field(description="by which images are resized, with antialiasing; in scoring, too")
    ] = "bilinear"
    apply_exif_rotation: Annotated[
        bool, Field(description="turn photographs as their EXIF data says; benchmarks do not")
    ] = True
    bits: Annotated[
        int | None,
        Field(ge=8, le=16, description="bits that 16-bit images use; default: 16, refused where all values need fewer"),
    ] = None
    on_bad_image: Annotated[
        Literal["error", "skip"], Field(description="skip: leave unreadable images out, counted and listed")
    ] = "error"

    @model_validator(mode="after")
    def _a_cut_fits(self) -> "Files":
        if self.resize is not None and (self.size is None or self.resize < self.size):
            raise ValueError(f"resize {self.resize} needs a size of at most {self.resize}")
        if self.interpolation != "bilinear" and self.size is None:
            raise ValueError(f"interpolation {self.interpolation} needs a size, to which images are resized")
        return self


class ListedFiles(Files):
    """Files that a list or a table names."""

    follow_links: Annotated[
        bool, Field(description="read named files that a link takes out of the folder; default: refuse them")
    ] = False


class ExceptClasses(Settings):
    """ID images without some of their classes."""

    except_classes: Annotated[
        list[ClassName], Field(description="classes left out, besides those of sets of kind held-out-classes")
    ] = []

    @property
    def words(self) -> list[str] | None:
        """All classes, where the configuration names them."""
        return getattr(self, "classes", None)

    @model_validator(mode="after")
    def _left_out_classes_are_known(self) -> "ExceptClasses":
        left_out(self.words, self.except_classes)
        return self


def left_out(words: list[str] | None, names: list[str]) -> None:
    """Raises ValueError where a class to be left out is not among all classes, or too few remain."""
    unknown = [name for name in names if words is not None and name not in words]
    if unknown:
        raise ValueError(f"class {unknown[0]!r} cannot be left out; the classes are {', '.join(words or [])}")
    if words is not None and len(words) - len(set(names)) < 2:
        raise ValueError(f"two classes must remain, {', '.join(names)} are left out of {', '.join(words)}")


class IdShares(ExceptClasses):
    """How ID images are shared out where no part of their own is there: class by class, drawn with the seed."""

    train_per_class: Annotated[
        int | None, Field(ge=1, description="so many of each class; default: all, or 80 % of undivided images")
    ] = None
    val_per_class: Annotated[
        int | None, Field(ge=1, description="so many of each class; default: all, or a tenth of what is shared out")
    ] = None
    seed: Seed = 0


class NamedClasses(IdShares):
    """ID images whose classes may be told beforehand."""

    classes: Annotated[
        Words | None, Field(description="names of labels 0, 1, ...; default: as found; generators need them")
    ] = None

    @property
    def class_count(self) -> int | None:
        """Known before the data is there only where `classes` says it."""
        return None if self.classes is None else len(self.classes) - len(set(self.except_classes))


class SplitNames(Settings):
    """What is called train, val and test; val serves as a missing test."""

    train: Annotated[OneOrMore, Field(description="folders, or words of the column `split`")]
    val: Annotated[OneOrMore | None, Field(description="default: taken out of test")] = None
    test: Annotated[OneOrMore | None, Field(description="default: val serves as test")] = None

    def of_roles(self) -> dict[str, list[str]]:
        """The names of each split that is there."""
        values = {"train": self.train, "val": self.val, "test": self.test}
        found = {role: [value] if isinstance(value, str) else value for role, value in values.items() if value}
        return found if "test" in found else {"train": found["train"], "test": found["val"]}

    @model_validator(mode="after")
    def _splits_are_apart(self) -> "SplitNames":
        if self.val is None and self.test is None:
            raise ValueError("name test or val as well")
        names = [normal(name) for same in self.of_roles().values() for name in same]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} is given twice; an image belongs to one split")
        return self

"""Settings of images that lie in files: folders, lists, tables of paths, and layouts that torchvision writes."""

from itertools import combinations
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from synthood.common.settings import Count, Seed, Settings
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
TorchvisionName = Literal["cifar10", "cifar100", "svhn", "mnist", "fashion-mnist", "dtd", "imagenet"]
CLASS_COUNTS: dict[str, int] = {
    "cifar10": 10,
    "cifar100": 100,
    "svhn": 10,
    "mnist": 10,
    "fashion-mnist": 10,
    "dtd": 47,
    "imagenet": 1000,
}


class Files(Settings):
    """What all sources in files share: where they lie, and how a file becomes pixels."""

    path: Annotated[Text, Field(description="relative to where snakemake runs; data that is there is enough")]
    size: Annotated[
        int | None, Field(ge=8, le=1024, description="side in pixels: the shorter side is resized, the centre cut out")
    ] = None
    resize: Annotated[int | None, Field(ge=8, le=2048, description="shorter side before the cut; default: size")] = None
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


class Folders(Files):
    """Images below a folder; its subfolders are classes."""

    kind: Literal["folders"]
    count: Annotated[int | None, Field(ge=1, description="images that must be there")] = None


class IdFolders(Files, NamedClasses):
    """One folder per class, below `train` and `test` (and `val`) or directly below the path."""

    kind: Literal["folders"]
    splits: Annotated[
        SplitNames | None, Field(description="folders of the splits below the path; default: known by their names")
    ] = None

    @model_validator(mode="after")
    def _splits_lie_apart_below_the_path(self) -> "IdFolders":
        names = [
            PurePosixPath(name) for same in (self.splits.of_roles() if self.splits else {}).values() for name in same
        ]
        outside = next((name for name in names if name.is_absolute() or ".." in name.parts or not name.parts), None)
        if outside is not None:
            raise ValueError(f"splits: {str(outside)!r} is no folder below the path")
        for one, other in combinations(sorted(names), 2):
            if other.is_relative_to(one):
                raise ValueError(f"splits: {str(other)!r} lies in {str(one)!r}; an image belongs to one split")
        return self


class Manifest(ListedFiles):
    """A CSV table with a column `path`, and `label` and `split` where there are some; paths start at the table."""

    kind: Literal["manifest"]
    split: Annotated[Text | None, Field(description="rows with this split alone")] = None
    count: Annotated[int | None, Field(ge=1, description="images that must be there")] = None


class IdManifest(ListedFiles, NamedClasses):
    """A CSV table with columns `path` and `label`; a column `split` with train, test (and val), or none."""

    kind: Literal["manifest"]
    splits: Annotated[
        SplitNames | None, Field(description="words of the splits in the column `split`; default: known by their names")
    ] = None


class Imglist(ListedFiles):
    """Images below a folder that a text file names with their labels, one `path label` per line."""

    kind: Literal["imglist"]
    list: Annotated[Text, Field(description="the text file")]
    count: Annotated[int | None, Field(ge=1, description="lines that the list must have")] = None
    reported_count: Annotated[int | None, Field(ge=1, description="another number of lines is told, not refused")] = (
        None
    )
    labels: Annotated[Labels | None, Field(description="these labels alone, numbered anew in ascending order")] = None
    except_labels: Annotated[Labels | None, Field(description="all but these labels")] = None
    classes: Annotated[Words | None, Field(description="names of labels 0, 1, ...; default: the folders' names")] = None


class ListCounts(Settings):
    """Lines of an ID benchmark's three lists."""

    train: Annotated[Count | None, Field(description="lines of the training list")] = None
    val: Annotated[Count | None, Field(description="lines of the validation list")] = None
    test: Annotated[Count | None, Field(description="lines of the test list")] = None


class IdImglist(ListedFiles):
    """ID images below a folder that three text files name with their labels."""

    kind: Literal["imglist"]
    train: Annotated[Text, Field(description="text file of the training images")]
    val: Annotated[Text, Field(description="text file of the validation images")]
    test: Annotated[Text, Field(description="text file of the test images")]
    classes: Annotated[Words | Count | None, Field(description="names of labels 0, 1, ..., or their number")] = None
    labels: Annotated[Labels | None, Field(description="these labels alone, numbered anew in ascending order")] = None
    train_per_class: Annotated[
        int | None, Field(ge=1, description="so many training images of each class, drawn with the seed; default: all")
    ] = None
    seed: Seed = 0
    count: Annotated[ListCounts | None, Field(description="lines that the lists must have")] = None
    reported_count: Annotated[ListCounts | None, Field(description="other numbers are told, not refused")] = None

    @property
    def class_count(self) -> int | None:
        if self.labels is not None:
            return len(self.labels)
        return len(self.classes) if isinstance(self.classes, list) else self.classes

    def of_part(self, part: Literal["train", "val", "test"]) -> Imglist:
        """One of the three lists, as a source of its own."""
        shared = {name: getattr(self, name) for name in ListedFiles.model_fields}
        counts = {name: getattr(value, part) for name in ("count", "reported_count") if (value := getattr(self, name))}
        words = self.classes if isinstance(self.classes, list) else None
        return Imglist(kind="imglist", list=getattr(self, part), labels=self.labels, classes=words, **counts, **shared)


class Torchvision(Files):
    """A data set as torchvision lays it out below the path."""

    kind: TorchvisionName
    apply_exif_rotation: Annotated[bool, Field(description="turn as the EXIF data says; torchvision does not")] = False
    split: Annotated[Literal["train", "test"], Field(description="which images")] = "test"


class IdTorchvision(Files, IdShares):
    """ID images as torchvision lays them out below the path; val is taken out of the test images."""

    kind: TorchvisionName
    apply_exif_rotation: Annotated[bool, Field(description="turn as the EXIF data says; torchvision does not")] = False

    @property
    def class_count(self) -> int:
        return CLASS_COUNTS[self.kind] - len(set(self.except_classes))


class Arrays(Settings):
    """Images of an `.npz` file: `images` uint8 [N,H,W,3], or grey [N,H,W]; its labels are not looked at."""

    kind: Literal["arrays"]
    path: Annotated[str, Field(min_length=1, description="the file, relative to where snakemake runs")]
    size: Annotated[
        int | None, Field(ge=8, le=64, description="side in pixels: the shorter side is resized, the centre cut out")
    ] = None


class IdArrays(ExceptClasses):
    """ID images of two `.npz` files with `images` uint8 [N,H,W,3] and `labels`; val is taken out of the test file."""

    kind: Literal["arrays"]
    train: Annotated[str, Field(min_length=1, description="file of the training images")]
    test: Annotated[str, Field(min_length=1, description="file of the validation and test images")]
    classes: Words
    val_per_class: Annotated[Count, Field(description="validation images of each class")]
    train_per_class: Annotated[int | None, Field(ge=1, description="so many of each class instead of all")] = None
    size: Annotated[
        int | None, Field(ge=8, le=64, description="side in pixels: the shorter side is resized, the centre cut out")
    ] = None
    seed: Seed = 0

    @property
    def class_count(self) -> int:
        return len(self.classes) - len(set(self.except_classes))


FileSource = Folders | Manifest | Imglist | Torchvision
IdFileSource = IdFolders | IdManifest | IdImglist | IdTorchvision

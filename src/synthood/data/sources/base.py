"""What all sources of images share: their base classes, and how a part is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from synthood.common import encoded, images
from synthood.common.images import ImageSet
from synthood.common.lazy import np
from synthood.data.claims import Claim
from synthood.data.files.walk import below
from synthood.data.selection import Selection, Split
from synthood.errors import SynthoodError
from synthood.plugins import Plugin

PACKAGE = "synthood.data.sources"
"""Where sources are found."""

Summary = tuple["np.ndarray", list[str], list[str]]
"""Labels int64 [N], class names and notes of a part."""


class Source(Plugin):
    """Where images come from; a kind may have one class for sets and one for ID images."""

    computed: ClassVar[bool] = False
    """Whether the images are computed, so that no publication has the same set."""
    threads: ClassVar[int] = 1
    """Threads that decode its images; these do not depend on their number."""
    by_class: ClassVar[bool] = False
    """Whether shifted sets, and ID images with such sets, may be of this kind: class names tell what they share."""
    kind: str

    @property
    def side(self) -> int | None:
        """Pixels a side, where the configuration alone decides them."""
        return getattr(self, "size", None)

    @property
    def nature(self) -> str:
        """What the set is evidence of: in a few words, where its images come from."""
        return "images as supplied"

    @property
    def contents(self) -> list[str]:
        """What is in the images, where two sources of different keys can be compared by it."""
        return []

    def raw_paths(self, part: Selection) -> list[Path]:
        """Files and folders that the configuration names for a part; empty where nothing raw is read."""
        return []

    def raw_files(self, paths: list[Path]) -> Iterator[str]:
        """The named files and what lies in named folders or is listed in named files; text, which is fast to look up.

        Nothing is opened but lists and tables of paths, so that planning stays fast.
        """
        for path in paths:
            yield from below(path) if path.is_dir() else [str(path)]

    def download(self, part: str) -> tuple[str, Path] | None:
        """What `synthood fetch` calls the data and the folder it goes to, where it can be fetched and is not there."""
        return None

    def claims(self, part: str) -> list[Claim]:
        """What a part reads; empty where paths do not tell, as for classes that are held out of ID images."""
        return []

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        """The images of a part; labels are -1 where it is OOD."""
        raise NotImplementedError

    def write(self, path: Path, part: Selection, threads: int) -> Summary:
        """Writes the images of a part, encoded where they are large."""
        found = self.read(part, threads).check(path)
        height, width = found.images.shape[1:3]
        if part.side is not None and (height, width) != (part.side, part.side):
            raise SynthoodError(
                f"part {part.part}: images of {width}x{height} px next to ID images of {part.side} px, so a "
                f"detector needs nothing but the size; set `size: {part.side}`"
            )
        if max(height, width) <= encoded.LARGEST_RAW:
            images.write_images(path, found)
        else:
            rest = found.labels, images.header_of(found.classes, found.notes, found.facts)
            encoded.write_encoded(path, found.images, threads, lambda: rest)
        return found.labels, found.classes, found.notes


class SetSource(Source):
    """A source of OOD sets, of sets to learn from, or of shifted sets."""

    of_validation: ClassVar[bool] = False
    """Whether its images are made of the ID validation images, so that calibration images must be left out."""

    @property
    def id_classes(self) -> list[str]:
        """Classes of the ID source whose images the set has, so that nothing is taught them."""
        return []

    def of_dataset(self, id_source: IdSource, taught: IdSource) -> dict[str, Any]:
        """What the job of a set needs besides its name and role; `taught` is `id_source` without held-out classes."""
        needs_side = id_source.side is not None and self.side is None
        return {"source": self, **({"side": id_source.side} if needs_side else {})}


class LabelledSet(SetSource):
    """A set whose images may have classes, so that synthetic images can be read from it."""

    size: int | None = None

    def of_side(self, side: int) -> Self:
        """The set, its images resized where no key says how."""
        return self if self.size else self.model_copy(update={"size": side})

    @property
    def origin(self) -> str:
        """The file or folder that the images are in."""
        return str(getattr(self, "path", ""))


class IdSource(Source):
    """A source of ID images: the parts train, val and test."""

    @property
    def class_count(self) -> int | None:
        """How many classes are taught, where the configuration says it."""
        raise NotImplementedError

    def classes_by_label(self) -> list[str]:
        """The classes in the order of their labels; raises SynthoodError where only images tell them."""
        raise SynthoodError(f"the classes of a source of kind {self.kind} are not in files")

    def class_names(self, asked: list[str]) -> list[str] | None:
        """Names of all classes before any image is read, or of those `asked` that are there; None where unknown."""
        return None

    def shape(self) -> tuple[int, int]:
        """Height and width of the images, by the validation images."""
        height, width = self.read(Selection(part="val")).images.shape[1:3]
        return height, width

    def disjoint(self, one: str, other: str) -> bool:
        """Whether two of its parts share no image, although they are read from the same files."""
        return True

    def lines(self, split: Split) -> int | None:
        """Images of a split that the configuration demands."""
        return None

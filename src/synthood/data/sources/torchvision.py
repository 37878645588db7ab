"""Data sets as torchvision lays them out on disk; `layouts.py` has one class for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from synthood.data.claims import Claim
from synthood.data.files.listing import Listing, id_listing
from synthood.data.files.names import on_disk
from synthood.data.files.settings import IdShares
from synthood.data.selection import Selection
from synthood.data.sources import layouts
from synthood.data.sources.in_files import FileSet, IdFiles, InFiles
from synthood.data.sources.layouts import Layout
from synthood.plugins import Plugin, plugins_of

LAYOUTS = plugins_of(Layout, layouts)

if TYPE_CHECKING:
    LayoutName = str
else:
    LayoutName = Literal[tuple(LAYOUTS)]


class InLayout(InFiles):
    """A data set as torchvision lays it out below the path."""

    kind: LayoutName
    apply_exif_rotation: Annotated[bool, Field(description="turn as the EXIF data says; torchvision does not")] = False

    def uses(self) -> list[type[Plugin]]:
        return [LAYOUTS[self.kind]]

    @property
    def layout(self) -> Layout:
        """The layout, which holds no keys of its own."""
        return LAYOUTS[self.kind].model_validate({})

    @property
    def side(self) -> int | None:
        return self.size or self.layout.side

    def split_of(self, part: str) -> Literal["train", "test"]:
        """Whether a part is read from the training or from the test images."""
        return "train" if part == "train" else "test"

    def download(self, part: str) -> tuple[str, Path] | None:
        if all(file.exists() for file in self.layout.files_of(Path(self.path), self.split_of(part))):
            return None
        return self.kind, self.layout.parent_of(Path(self.path))

    def claims(self, part: str) -> list[Claim]:
        return [Claim(self.kind, (str(self.layout.root(Path(self.path))),), self.split_of(part))]


class Torchvision(InLayout, FileSet):
    """A data set as torchvision lays it out below the path."""

    split: Annotated[Literal["train", "test"], Field(description="which images")] = "test"

    def split_of(self, part: str) -> Literal["train", "test"]:
        return self.split

    def raw_paths(self, part: Selection) -> list[Path]:
        return self.layout.files_of(on_disk(Path(self.path)), self.split)

    def listing(self) -> Listing:
        return self.layout.splits(self)[self.split]()


class IdTorchvision(InLayout, IdFiles, IdShares):
    """ID images as torchvision lays them out below the path; val is taken out of the test images."""

    @property
    def class_count(self) -> int:
        return self.layout.class_count - len(set(self.except_classes))

    def class_names(self, asked: list[str]) -> list[str] | None:
        place = self.layout.root(Path(self.path))
        return self.layout.class_names(place, asked) if place.is_dir() else None

    def raw_paths(self, part: Selection) -> list[Path]:
        place, read = on_disk(Path(self.path)), part.splits_read or [part.split]
        return list(dict.fromkeys(path for name in read for path in self.layout.files_of(place, name)))

    def listed(self, part: Selection) -> Listing:
        return id_listing(self.layout.splits(self), part, self)

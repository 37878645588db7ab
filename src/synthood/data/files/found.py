"""What lies below a folder: images, images that cannot be read, and everything else, so that nothing is lost."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from synthood.common.image_formats import suffixes
from synthood.data.files.formats import kind_of
from synthood.data.files.names import normal, some, sorted_paths
from synthood.errors import SynthoodError, printable

HIDDEN = ("__MACOSX", "@eaDir")
"""What archives and network drives add, besides names with a dot."""


@dataclass
class Found:
    """Files below a folder in a fixed order, and how many entries are hidden."""

    folder: Path
    images: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    hidden: int = 0

    def checked(self, on_bad_image: Literal["error", "skip"]) -> "Found":
        """The same; raises at an image of a format that is not read, unless bad images are skipped."""
        if self.unreadable and on_bad_image == "error":
            count = len(self.unreadable)
            raise SynthoodError(
                f"{printable(self.unreadable[0])}: an image that cannot be read ({count} such below "
                f"{printable(self.folder)}); convert it to JPEG or PNG (`on_bad_image: skip` leaves such images out)"
            )
        return self


def look(folder: Path) -> Found:
    """Everything below a folder; links are followed, a circle of them is an error."""
    found = Found(folder)
    _walk(folder, [], found, deep=True)
    return _in_order(found)


def look_at(folder: Path) -> Found:
    """The files that lie directly in a folder, not in its subfolders."""
    found = Found(folder)
    _walk(folder, [], found, deep=False)
    return _in_order(found)


def _in_order(found: Found) -> Found:
    for name in ("images", "unreadable", "others"):
        setattr(found, name, sorted_paths(getattr(found, name)))
    return found


def _walk(folder: Path, above: list[Path], found: Found, deep: bool) -> None:
    try:
        real = folder.resolve(strict=True)
        with os.scandir(folder) as stream:
            entries = [(entry.name, _is_folder(entry)) for entry in stream]
    except FileNotFoundError as error:
        raise SynthoodError(f"{printable(folder)}: not found; give the path of a folder of images") from error
    except NotADirectoryError as error:
        raise SynthoodError(f"{printable(folder)}: not a folder; give the path of a folder of images") from error
    except (OSError, RuntimeError) as error:
        raise SynthoodError(
            f"{printable(folder)}: a circle of links or not readable ({printable(error)}); take the link away"
        ) from error
    if real in above:
        raise SynthoodError(f"{printable(folder)}: a link to a folder above it, so it has no end; take the link away")
    for name, is_folder in entries:
        path = folder / name
        if _is_hidden(name):
            found.hidden += 1
        elif is_folder:
            if deep:
                _walk(path, [*above, real], found, deep)
        else:
            place = {"image": found.images, "unreadable": found.unreadable, "other": found.others}
            place[kind_of(path)].append(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in HIDDEN


def subfolders(folder: Path) -> dict[str, Path]:
    """Subfolders by their name in composed form; raises where two differ only in their Unicode form."""
    found: dict[str, Path] = {}
    try:
        with os.scandir(folder) as stream:
            names = sorted(entry.name for entry in stream if _is_folder(entry) and not _is_hidden(entry.name))
    except OSError as error:
        raise SynthoodError(
            f"{printable(folder)}: not a readable folder ({error.strerror}); give one folder per class"
        ) from error
    for name in names:
        if normal(name) in found:
            raise SynthoodError(
                f"{printable(folder / name)}: another folder there has this name in another Unicode form; join the two"
            )
        found[normal(name)] = folder / name
    return found


def notes_on(found: Sequence[Found], root: Path) -> list[str]:
    """How many files were not read, with the first names, and how many images had no usual suffix."""
    notes = []
    for what, paths in (
        ("not read, no images", [path for one in found for path in one.others]),
        ("left out, images that cannot be read", [path for one in found for path in one.unreadable]),
        (
            "read, known as images by their content alone",
            [path for one in found for path in one.images if path.suffix.lower() not in suffixes()],
        ),
    ):
        if paths:
            names = [os.path.relpath(path, root) for path in paths]
            notes.append(f"{printable(root)}: {len(paths)} files {what}: {some(names)}")
    hidden = sum(one.hidden for one in found)
    return notes + [f"{printable(root)}: {hidden} hidden files or folders not read"] * bool(hidden)

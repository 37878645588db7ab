"""Which source reads a folder, and which folders next to its splits hold images of no class."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from synthood.data.files.found import look_at, subfolders
from synthood.data.files.names import normal, some, split_of
from synthood.data.part_settings import AnyIdSource
from synthood.data.selection import SPLITS
from synthood.data.sources.in_files import IdFiles
from synthood.data.sources.manifest import IdManifest, manifest_splits
from synthood.data.sources.torchvision import LAYOUTS
from synthood.errors import SynthoodError, printable

UNKNOWN = frozenset(("other", "others", "unknown", "unknowns", "ood", "outlier", "outliers", "background", "negatives"))
"""Names, in any case, of folders that hold images of no class."""
_SOURCE: TypeAdapter[Any] = TypeAdapter(AnyIdSource)


@dataclass(frozen=True)
class Layout:
    """How a folder is read: the keys of the source `datasets.NAME.id`, and how that is said in words."""

    keys: dict[str, Any]
    words: str
    unknown: dict[str, Path] = field(default_factory=dict)
    """Folders of images of no class, next to the splits, by their name."""
    problems: tuple[str, ...] = ()
    divided: bool = False
    """Whether folders or files divide the images into splits, not a draw."""

    def source(self, **more: Any) -> IdFiles:
        """The source, with further keys; raises SynthoodError where it is none."""
        found = _SOURCE.validate_python(self.keys | more)
        assert isinstance(found, IdFiles)
        return found


def is_unknown(name: str) -> bool:
    """Whether a folder's name says that its images are of no class."""
    return normal(name).casefold() in UNKNOWN


def layout_of(path: Path, classes: list[str] | None = None) -> Layout:
    """The layout of a folder, or of a CSV table; raises SynthoodError where it is none with images of classes.

    `classes` are all of them in the order of their labels, where that is not the order of their names.
    """
    found = _found(path)
    if not classes:
        return found
    if found.keys["kind"] not in ("folders", "manifest"):
        raise SynthoodError(f"--classes: the classes of {found.keys['kind']} have an order of their own")
    known = found.source().class_names([]) or classes
    if sorted(known) != sorted(classes):
        strange = sorted(set(known) ^ set(classes))
        raise SynthoodError(f"--classes: name each of the {len(known)} classes once; wrong or missing: {some(strange)}")
    return replace(found, keys=found.keys | {"classes": classes})


def _found(path: Path) -> Layout:
    if path.is_file():
        if path.suffix.lower() == ".csv":
            divided = "all" not in manifest_splits(IdManifest(path=str(path)))
            return Layout({"kind": "manifest", "path": str(path)}, "a table of images", divided=divided)
        raise SynthoodError(f"{printable(path)}: a file; give a folder with one folder of images per class")
    if not path.is_dir():
        raise SynthoodError(f"{printable(path)}: no such folder; give one with one folder of images per class")
    return _packed(path) or _folders(path)


def _packed(path: Path) -> Layout | None:
    """A data set as torchvision lays it out below the folder, or in it."""
    for kind, layout in LAYOUTS.items():
        if layout.model_validate({}).looks_like(path):
            return Layout({"kind": kind, "path": str(path)}, f"the data set {kind}", divided=True)
    return None


def _folders(path: Path) -> Layout:
    keys: dict[str, Any] = {"kind": "folders", "path": str(path)}
    inside = subfolders(path)
    if not inside:
        raise SynthoodError(_no_folders(path))
    roles: dict[str, list[str]] = {}
    for name in inside:
        if split := split_of(name):
            roles.setdefault(split, []).append(name)
    rest = [name for name in inside if not split_of(name)]
    known = [name for name in rest if not is_unknown(name)]
    if not roles:
        return Layout(keys, "a folder per class, shared out 80 % train, 10 % validation, 10 % test")
    if "train" in roles and len(roles) > 1:
        return _splits(path, keys, roles, inside, rest)
    if len(inside) > 1 and (known or "train" not in roles):
        # A class may be called `train` as well.
        return Layout(keys | {"classes": sorted(inside)}, "a folder per class, shared out 80 % train, 10 % each others")
    (only,) = (name for same in roles.values() for name in same)
    unknown = {name: inside[name] for name in rest}
    return Layout(
        keys | {"path": str(inside[only])},
        f"a folder per class below {printable(only)}, shared out 80 % train, 10 % validation, 10 % test",
        unknown,
    )


def _splits(
    path: Path, keys: dict[str, Any], roles: dict[str, list[str]], inside: dict[str, Path], rest: Sequence[str]
) -> Layout:
    """Folders of the splits; others next to them are images of no class, or are not read."""
    words = "folders " + some([name for split in SPLITS for name in roles.get(split, [])])
    if not rest:
        return Layout(keys, words, divided=True)
    twice = next((same for same in roles.values() if len(same) > 1), None)
    if twice:
        raise SynthoodError(f"{printable(path)}: {some(twice)} are names of one split; move one of them away")
    splits = {split: name for split, (name,) in roles.items()}
    unread = [name for name in rest if not is_unknown(name)]
    problems = (f"folders next to the splits are not read: {some(unread)}",) if unread else ()
    unknown = {name: inside[name] for name in rest if is_unknown(name)}
    return Layout(keys | {"splits": splits}, words, unknown, problems, divided=True)


def _no_folders(path: Path) -> str:
    found = look_at(path)
    where, loose = printable(path), len(found.images)
    if loose:
        return f"{where}: {loose} images in no folder of a class; put the images of every class into one of its name"
    files = found.unreadable + found.others
    if files:
        return f"{where}: no images, only {some([one.name for one in files])}; give a folder with one folder per class"
    return f"{where}: an empty folder; give one with one folder of images per class"

"""Images below a folder: one subfolder per class, or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthood.common import images
from synthood.common.lazy import np
from synthood.data.claims import Choice, Claim
from synthood.data.files.found import Found, look, look_at, notes_on, subfolders
from synthood.data.files.listing import Listing, Splits, by_role, id_listing, same_classes
from synthood.data.files.names import in_order, normal, on_disk, some, split_of
from synthood.data.files.settings import Files, NamedClasses, SplitNames
from synthood.data.selection import Selection
from synthood.data.sources.in_files import FileSet, IdFiles, counted
from synthood.errors import SynthoodError, printable


class Folders(FileSet):
    """Images below a folder; its subfolders are classes."""

    by_class = True

    kind: Literal["folders"] = "folders"
    count: Annotated[int | None, Field(ge=1, description="images that must be there")] = None

    def raw_paths(self, part: Selection) -> list[Path]:
        return [self.root]

    def claims(self, part: str) -> list[Claim]:
        return [Claim("folder", (self.path,), tree=True)]

    def listing(self) -> Listing:
        return counted(folder_set(self), self.count)


class IdFolders(NamedClasses, IdFiles):
    """One folder per class, below `train` and `test` (and `val`) or directly below the path."""

    kind: Literal["folders"] = "folders"
    splits: Annotated[
        SplitNames | None, Field(description="folders of the splits below the path; default: known by their names")
    ] = None

    @model_validator(mode="after")
    def _splits_lie_apart_below_the_path(self) -> IdFolders:
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

    def raw_paths(self, part: Selection) -> list[Path]:
        return [self.root]

    def claims(self, part: str) -> list[Claim]:
        taken = Choice(frozenset(self.except_classes))
        places = _folders_by_part(self).get(part, [Path(self.path)])
        return [Claim("folder", (str(place),), choice=taken, tree=True) for place in places]

    def disjoint(self, one: str, other: str) -> bool:
        return self.claims(one) == self.claims(other)

    def class_names(self, asked: list[str]) -> list[str] | None:
        return class_names_of(self) if Path(self.path).is_dir() else None

    def listed(self, part: Selection) -> Listing:
        return id_listing(folder_splits(self), part, self)


def _folders_by_part(source: IdFolders) -> dict[str, list[Path]]:
    """The folders of each part of ID images; empty where class folders alone are there, or nothing yet."""
    path = Path(source.path)
    if source.splits:
        found = {role: [path / name for name in names] for role, names in source.splits.of_roles().items()}
    else:
        try:
            found = {split: [Path(e)] for e in os.scandir(path) if e.is_dir() and (split := split_of(e.name))}
        except OSError:
            return {}
    if "train" not in found or len(found) == 1:
        return {}
    held_out = found.get("test", found.get("val", [path]))
    return {"train": found["train"], "val": found.get("val", held_out), "test": held_out}


def class_names(folder: Path) -> list[str]:
    """Names of the subfolders, numbers first and by value."""
    return in_order(subfolders(folder))


def class_folders(folders: Sequence[Path], settings: Files, classes: list[str] | None = None) -> Listing:
    """Images of every subfolder with its place among `classes` (default: their names in order) as label.

    Raises where a class holds no image, where a subfolder is not among the classes or holds splits of its own.
    """
    places: dict[str, list[Path]] = {}
    for folder in folders:
        for name, place in subfolders(folder).items():
            places.setdefault(name, []).append(place)
    names, origin = in_order(places), " and ".join(map(str, folders))
    if not names:
        below = len(look_at(folders[0]).images)
        loose = f" but {below} images; is the path one level too low?" if below else ";"
        raise SynthoodError(
            f"{printable(origin)}: no folder of a class in it{loose} put the images of every class into one of its name"
        )
    files, labels, everything = [], [], []
    for label, name in enumerate(names):
        found = [look(place).checked(settings.on_bad_image) for place in places[name]]
        images = [image for one in found for image in one.images]
        if not images:
            raise SynthoodError(
                f"{printable(places[name][0])}: no image in this class; fill the folder or take it away"
                + "".join(f" ({note})" for note in notes_on(found, places[name][0])[:1])
            )
        files += images
        labels += [label] * len(images)
        everything += found
        for one in found:
            _refuse_splits_inside(one)
    notes = [*_loose(folders), *notes_on(everything, folders[0]), *_all_deeper(everything)]
    listing = Listing(files, np.array(labels, np.int64), names, origin, notes)
    return same_classes(listing, classes, "the training images or the configuration") if classes else listing


def _refuse_splits_inside(found: Found) -> None:
    inner = sorted({image.relative_to(found.folder).parts[0] for image in found.images if image.parent != found.folder})
    if len({split for name in inner if (split := split_of(name))}) > 1:
        where = f"{printable(found.folder)}: read as a class, but holds the splits {some(inner)}"
        raise SynthoodError(f"{where}; is the path one level too high?")


def _all_deeper(found: list[Found]) -> list[str]:
    """A note where every image lies in a subfolder of its class's folder, of which there are several."""
    inner = {image.relative_to(one.folder).parts[:-1][:1] for one in found for image in one.images}
    if () in inner or len(inner) < 2:
        return []
    names = some(in_order(name for (name,) in inner))
    root = printable(found[0].folder.parent)
    return [f"{root}: all images lie in subfolders of their class ({names}); is the path one level too high?"]


def _loose(folders: Sequence[Path]) -> list[str]:
    """Files next to the folders of classes."""
    found = [look_at(folder) for folder in folders]
    loose = [image for one in found for image in (*one.images, *one.unreadable)]
    other = [Found(one.folder, others=one.others, hidden=one.hidden) for one in found]
    names = some([image.name for image in loose])
    notes = (
        [f"{printable(folders[0])}: {len(loose)} images not read, in no folder of a class: {names}"] if loose else []
    )
    return notes + notes_on(other, folders[0])


def folder_set(settings: Folders) -> Listing:
    """All images below the path; labelled where every one lies in a subfolder."""
    folder = on_disk(Path(settings.path))
    found = look(folder).checked(settings.on_bad_image)
    notes = notes_on([found], folder)
    if not found.images:
        raise SynthoodError(f"{printable(folder)}: no images below it" + "".join(f" ({note})" for note in notes[:1]))
    listing = Listing(found.images, np.full(len(found.images), images.OOD_LABEL, np.int64), [], str(folder), notes)
    above = [file.relative_to(folder).parts for file in found.images]
    if any(len(parts) == 1 for parts in above):
        return listing
    subfolders(folder)  # raises where two of them differ only in their Unicode form
    tops = [normal(parts[0]) for parts in above]
    classes = in_order(tops)
    place = {name: label for label, name in enumerate(classes)}
    return replace(listing, labels=np.array([place[name] for name in tops], np.int64), classes=classes)


def folder_splits(settings: IdFolders) -> Splits:
    """The splits below the path under any of their names, `val` standing for a missing `test`, or class folders."""
    path = on_disk(Path(settings.path))
    if not path.is_dir():
        raise SynthoodError(f"{printable(path)}: not found; give the path of a folder with one folder per class")
    roots = _named(path, settings) if settings.splits else _recognised(path, settings)
    if not roots:
        _two_classes(path, subfolders(path))
        return {"all": partial(_undivided, path, settings)}
    names = {name: place for root in roots["train"] for name, place in subfolders(root).items()}
    if names:
        _two_classes(roots["train"][0], names)
    classes = settings.classes or in_order(names)

    def made(split: str, folders: list[Path]) -> Listing:
        listing = class_folders(folders, settings, classes)
        rest = [*_unnamed(path, roots), *_loose([path])] if split == "train" else []
        return replace(listing, notes=[*rest, *listing.notes])

    return {split: partial(made, split, folders) for split, folders in roots.items()}


def class_names_of(settings: IdFolders) -> list[str]:
    """Names of all classes, from the folders alone; raises where the layout is none that `folder_splits` reads."""
    path = on_disk(Path(settings.path))
    roots = _named(path, settings) if settings.splits else _recognised(path, settings)
    names = {name: place for root in roots.get("train", [path]) for name, place in subfolders(root).items()}
    _two_classes(path, names)
    return in_order(names)


def _undivided(path: Path, settings: IdFolders) -> Listing:
    """Class folders alone, with a note where the path is that of one split and others lie next to it."""
    listing = class_folders([path], settings, settings.classes)
    above = path.absolute().parent
    if split_of(path.absolute().name) is None or not os.access(above, os.R_OK):
        return listing
    rest = [name for name, place in subfolders(above).items() if split_of(name) and not place.samefile(path)]
    if not rest:
        return listing
    unread = f"not read: {some(rest)} next to it (give the folder above)"
    note = f"{printable(path)}: shared out to train, val and test; {unread}"
    return replace(listing, notes=[note, *listing.notes])


def _named(path: Path, settings: IdFolders) -> dict[str, list[Path]]:
    """The folders that `splits` names."""
    assert settings.splits is not None
    roots = {split: [on_disk(path / name) for name in names] for split, names in settings.splits.of_roles().items()}
    missing = next((folder for folders in roots.values() for folder in folders if not folder.is_dir()), None)
    if missing is not None:
        known = some(in_order(subfolders(path))) or "no folder"
        raise SynthoodError(f"{printable(missing)}: not found, but named by `splits`; {printable(path)} has {known}")
    return roots


def _recognised(path: Path, settings: IdFolders) -> dict[str, list[Path]]:
    """The folders whose names are those of splits; empty where there are none, or all are named as classes."""
    inside = subfolders(path)
    if settings.classes and inside.keys() <= set(settings.classes):
        return {}
    strange = [name for name in inside if not split_of(name)]
    if len(strange) == len(inside):
        return {}
    if strange:
        raise SynthoodError(
            f"{printable(path)}: folders {some(strange)} next to {some([n for n in inside if n not in strange])}; "
            f"name the folders to read by `splits`, move the others away, or name all by `classes` if each is a class"
        )
    return {split: [inside[name]] for split, (name,) in by_role(inside, str(path)).items()}


def _unnamed(path: Path, roots: dict[str, list[Path]]) -> list[str]:
    """Folders that `splits` leaves out."""
    used = [folder for folders in roots.values() for folder in folders]
    inside = subfolders(path)
    left = [name for name, place in inside.items() if not any(place == one or place in one.parents for one in used)]
    return [f"{printable(path)}: folders not read, since `splits` does not name them: {some(left)}"] if left else []


def _two_classes(path: Path, inside: dict[str, Path]) -> None:
    """Raises where there is one folder alone, mostly since the path is that of the folder above or below."""
    if len(inside) != 1:
        return
    name, place = next(iter(inside.items()))
    deeper = in_order(subfolders(place))
    hint = "is the path one level too low? A classifier needs two classes"
    if deeper:
        hint = f"it holds the folders {some(deeper)}: is the path one level too high? Give {printable(place)}"
    raise SynthoodError(f"{printable(path)}: one class alone, {printable(name)}; {hint}")

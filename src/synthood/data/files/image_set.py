"""From a source in files to an image set, whatever its layout."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np

from synthood.common.images import ImageSet
from synthood.common.names import Names
from synthood.common.settings import Settings
from synthood.data.files.decode import Reading
from synthood.data.files.folders import folder_set, folder_splits
from synthood.data.files.imglist import id_classes, id_list, list_set
from synthood.data.files.listing import Listing, Splits, id_listing
from synthood.data.files.manifest import manifest_set, manifest_splits
from synthood.data.files.names import misnumbered, on_disk, some
from synthood.data.files.settings import (
    ExceptClasses,
    Files,
    Folders,
    IdFolders,
    IdImglist,
    IdManifest,
    IdTorchvision,
    Imglist,
    Manifest,
    Torchvision,
)
from synthood.data.files.torchvision_layouts import layout_set, layout_splits
from synthood.errors import SynthoodError, printable


def from_files(
    settings: Files,
    part: str,
    ood: bool,
    threads: int = 1,
    held_out: Sequence[str] = (),
    taught: Settings | None = None,
    held_out_splits: Sequence[str] = (),
) -> ImageSet:
    """The decoded images of one part; its notes list what was skipped or differs from what was reported."""
    listing, notes = listed(settings, part, held_out, taught, held_out_splits)
    reading = Reading(listing, settings, threads)
    images = np.zeros((0, 0, 0, 3), np.uint8)
    for place, image in enumerate(reading):
        if not place:
            images = np.empty((len(listing), *image.shape), np.uint8)
        images[place] = image
    if not ood or held_out:
        no_class_emptied(listing, reading)
    images = images[: len(reading.kept)]
    made = ImageSet.out_of_distribution(images) if ood else ImageSet(images, reading.labels, listing.classes)
    made.notes, made.facts, made.names = notes + reading.notes, reading.facts, names_of(reading, settings)
    return made


def names_of(reading: Reading, settings: Files) -> Names | None:
    """The files of the images that came, relative to the folder that the source names; None where pixels are packed."""
    files = reading.listing.images
    if not isinstance(files, list):
        return None
    path = on_disk(Path(settings.path))
    root = path.parent if isinstance(settings, Manifest | IdManifest) else path
    above = os.path.join(root, "")  # noqa: PTH118 Path drops the last slash
    return Names.of(str(files[index]).removeprefix(above) for index in reading.kept)


def no_class_emptied(listing: Listing, reading: Reading) -> None:
    """Raises where a class had images and none of them was readable."""
    empty = [listing.classes[label] for label in np.setdiff1d(listing.labels[listing.labels >= 0], reading.labels)]
    if empty:
        raise SynthoodError(
            f"{printable(listing.origin)}: no readable image of class {some(empty)} is left; the first that was "
            f"skipped: {reading.skipped[0]}"
        )


def listed(
    settings: Files,
    part: str,
    held_out: Sequence[str] = (),
    taught: Settings | None = None,
    held_out_splits: Sequence[str] = (),
) -> tuple[Listing, list[str]]:
    """What a part consists of, before anything is decoded, and what is worth telling about it.

    With `taught`, an ID source, the labels are of its classes: those of a list without names by number, others by name.
    """
    if taught is not None:
        if isinstance(settings, Imglist) and settings.classes is None:
            listing, notes = _numbered(settings, taught)
        else:
            listing, notes = listed(settings, part)
        return listing.labelled_as(listed_classes(taught)), notes
    match settings:
        case IdImglist():
            return id_list(settings, cast(Literal["train", "val", "test"], part))
        case Imglist():
            return list_set(settings)
        case IdFolders() | IdManifest() | IdTorchvision():
            listing = id_listing(_splits(settings), part, settings, held_out, held_out_splits)
        case Folders():
            listing = _counted(folder_set(settings), settings.count)
        case Manifest():
            listing = _counted(manifest_set(settings), settings.count)
        case Torchvision():
            listing = layout_set(settings)
        case _:
            raise SynthoodError(f"part {part}: no adapter reads {settings}")
    return listing, listing.notes


def _splits(settings: IdFolders | IdManifest | IdTorchvision) -> Splits:
    match settings:
        case IdFolders():
            return folder_splits(settings)
        case IdManifest():
            return manifest_splits(settings)
        case _:
            return layout_splits(settings)


def _numbered(settings: Imglist, taught: Settings) -> tuple[Listing, list[str]]:
    """A list whose labels are numbers of the ID classes, those counted that are left out of training."""
    every = taught.model_copy(update={"except_classes": []}) if isinstance(taught, ExceptClasses) else taught
    classes = listed_classes(every)
    if strange := misnumbered(classes):
        raise SynthoodError(
            f"{printable(settings.list)}: labels by number are ambiguous, since the ID class {strange} is number "
            f"{classes.index(strange)}; name the list's `classes`"
        )
    return list_set(settings, classes)


def listed_classes(settings: Settings) -> list[str]:
    """The classes of an ID source in files, in the order of their labels."""
    if not isinstance(settings, Files):
        raise SynthoodError(f"the classes of a source of kind {getattr(settings, 'kind', '')} are not in files")
    return id_classes(settings) if isinstance(settings, IdImglist) else listed(settings, "train")[0].classes


def _counted(listing: Listing, count: int | None) -> Listing:
    if count not in (None, len(listing)):
        raise SynthoodError(f"{listing.origin}: {len(listing)} images, the configuration says {count}")
    return listing

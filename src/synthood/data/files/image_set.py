"""From a source in files to an image set, whatever its layout."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from synthood.common.encoded import LARGEST_RAW, write_encoded
from synthood.common.images import OOD_LABEL, ImageSet, check_labels
from synthood.common.names import Names
from synthood.common.settings import Settings
from synthood.data.files.decode import Reading
from synthood.data.files.folders import folder_set, folder_splits
from synthood.data.files.imglist import id_classes, id_list, list_set
from synthood.data.files.listing import Listing, id_listing
from synthood.data.files.manifest import manifest_set, manifest_splits
from synthood.data.files.settings import (
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
from synthood.errors import SynthoodError


def from_files(
    settings: Files,
    part: str,
    ood: bool,
    threads: int = 1,
    held_out: Sequence[str] = (),
    taught: Settings | None = None,
) -> ImageSet:
    """The decoded images of one part; its notes list what was skipped or differs from what was reported."""
    listing, notes = listed(settings, part, held_out, taught)
    reading = Reading(listing, settings, threads)
    images = np.zeros((0, 0, 0, 3), np.uint8)
    for place, image in enumerate(reading):
        if not place:
            images = np.empty((len(listing), *image.shape), np.uint8)
        images[place] = image
    images = images[: len(reading.kept)]
    made = ImageSet.out_of_distribution(images) if ood else ImageSet(images, reading.labels, listing.classes)
    made.notes = notes + reading.notes
    made.names = names_of(reading, settings)
    return made


def names_of(reading: Reading, settings: Files) -> Names | None:
    """The files of the images that came, relative to the folder that the source names; None where pixels are packed."""
    files = reading.listing.images
    if not isinstance(files, list):
        return None
    root = Path(settings.path).parent if isinstance(settings, Manifest | IdManifest) else Path(settings.path)
    above = os.path.join(root, "")  # noqa: PTH118 Path drops the last slash
    return Names.of(str(files[index]).removeprefix(above) for index in reading.kept)


def is_large(settings: Settings) -> bool:
    """Whether a source's images are too large to be stored as pixels."""
    return isinstance(settings, Files) and settings.size is not None and settings.size > LARGEST_RAW


def write_large(
    path: Path,
    settings: Files,
    part: str,
    ood: bool,
    threads: int,
    held_out: Sequence[str] = (),
    taught: Settings | None = None,
) -> tuple[np.ndarray, list[str], list[str]]:
    """Writes the images of one part encoded, without ever holding them all; gives labels, classes and notes."""
    listing, notes = listed(settings, part, held_out, taught)
    reading = Reading(listing, settings, threads)
    classes = [] if ood else listing.classes

    def rest() -> tuple[np.ndarray, dict[str, Any]]:
        labels = np.full(len(reading.kept), OOD_LABEL, np.int64) if ood else reading.labels
        check_labels(labels, classes, path)
        found = notes + reading.notes
        return labels, {"classes": classes} | ({"notes": found} if found else {})

    write_encoded(path, reading, threads, rest, lambda: names_of(reading, settings))
    labels, header = rest()
    return labels, classes, header.get("notes", [])


def listed(
    settings: Files, part: str, held_out: Sequence[str] = (), taught: Settings | None = None
) -> tuple[Listing, list[str]]:
    """What a part consists of, before anything is decoded, and what is worth telling about it.

    With `taught`, an ID source, the labels are of its classes: those of a list by number, others by name.
    """
    if taught is not None:
        classes = id_classes(taught) if isinstance(taught, IdImglist) else listed_classes(taught)
        if isinstance(settings, Imglist):
            return list_set(settings, classes)
        listing, notes = listed(settings, part)
        return listing.labelled_as(classes), notes
    match settings:
        case IdFolders():
            return id_listing(folder_splits(settings), part, settings, held_out), []
        case IdManifest():
            return id_listing(manifest_splits(settings), part, settings, held_out), []
        case IdTorchvision():
            return id_listing(layout_splits(settings), part, settings, held_out), []
        case IdImglist():
            return id_list(settings, cast(Literal["train", "val", "test"], part))
        case Imglist():
            return list_set(settings)
        case Folders():
            return _counted(folder_set(settings), settings.count), []
        case Manifest():
            return _counted(manifest_set(settings), settings.count), []
        case Torchvision():
            return layout_set(settings), []
        case _:
            raise SynthoodError(f"part {part}: no adapter reads {settings}")


def listed_classes(settings: Settings) -> list[str]:
    """The classes of an ID source in files, in the order of their labels."""
    if not isinstance(settings, Files):
        raise SynthoodError(f"the classes of a source of kind {getattr(settings, 'kind', '')} are not in files")
    return listed(settings, "train")[0].classes


def _counted(listing: Listing, count: int | None) -> Listing:
    if count not in (None, len(listing)):
        raise SynthoodError(f"{listing.origin}: {len(listing)} images, the configuration says {count}")
    return listing

"""Sources whose images lie in files: from a listing of them to an image set, whatever the layout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from synthood.common import encoded, images, names
from synthood.common.images import ImageSet
from synthood.common.lazy import np
from synthood.data.files import decode
from synthood.data.files.listing import Listing
from synthood.data.files.names import misnumbered, on_disk, some
from synthood.data.files.settings import Files
from synthood.data.selection import Selection
from synthood.data.sources.base import IdSource, LabelledSet, Source, Summary
from synthood.errors import SynthoodError, printable


class InFiles(Files, Source):
    """Images in files: a subclass says by `listed` which; they are decoded, resized and cut by its keys."""

    threads = 4

    def listed(self, part: Selection) -> Listing:
        """What a part consists of, with notes on it, before anything is decoded.

        Where the part is of a shifted set, the labels are of the classes that are taught.
        """
        raise NotImplementedError

    @property
    def root(self) -> Path:
        """The folder that the names of images start at."""
        return on_disk(Path(self.path))

    def read(self, part: Selection, threads: int = 1) -> ImageSet:
        listing = self.listed(part)
        reading = decode.Reading(listing, self, threads)
        pixels = np.zeros((0, 0, 0, 3), np.uint8)
        for place, image in enumerate(reading):
            if not place:
                pixels = np.empty((len(listing), *image.shape), np.uint8)
            pixels[place] = image
        if not part.ood or part.held_out:
            no_class_emptied(listing, reading)
        pixels = pixels[: len(reading.kept)]
        if part.ood:
            found = images.ImageSet.out_of_distribution(pixels)
        else:
            found = images.ImageSet(pixels, reading.labels, listing.classes)
        found.notes, found.facts, found.names = listing.notes + reading.notes, reading.facts, self.names_of(reading)
        return found

    def write(self, path: Path, part: Selection, threads: int) -> Summary:
        """Writes large images encoded as they are read, so that they are never all in memory."""
        if self.size is None or self.size <= encoded.LARGEST_RAW:
            return super().write(path, part, threads)
        listing = self.listed(part)
        reading = decode.Reading(listing, self, threads)
        classes = [] if part.ood else listing.classes

        def rest() -> tuple[np.ndarray, dict[str, Any]]:
            if not part.ood or part.held_out:
                no_class_emptied(listing, reading)
            labels = np.full(len(reading.kept), images.OOD_LABEL, np.int64) if part.ood else reading.labels
            images.check_labels(labels, classes, path)
            return labels, images.header_of(classes, listing.notes + reading.notes, reading.facts)

        encoded.write_encoded(path, reading, threads, rest, lambda: self.names_of(reading))
        return rest()[0], classes, listing.notes + reading.notes

    def names_of(self, reading: decode.Reading) -> names.Names | None:
        """The files of the images that came, relative to the source's folder; None where pixels are packed."""
        files = reading.listing.images
        if not isinstance(files, list):
            return None
        above = os.path.join(self.root, "")  # noqa: PTH118 Path drops the last slash
        return names.Names.of(str(files[index]).removeprefix(above) for index in reading.kept)


class FileSet(InFiles, LabelledSet):
    """A set of images in files."""

    def listing(self) -> Listing:
        """All images of the set with the classes that it has."""
        raise NotImplementedError

    def listed(self, part: Selection) -> Listing:
        if part.taught is None:
            return self.listing()
        assert isinstance(part.taught, IdSource)
        return self.of_taught(part.taught)

    def of_taught(self, taught: IdSource) -> Listing:
        """The set with labels of the classes that are taught, found by name."""
        return self.listing().labelled_as(taught.classes_by_label())


class IdFiles(InFiles, IdSource):
    """ID images in files."""

    by_class = True

    def classes_by_label(self) -> list[str]:
        return self.listed(Selection(part="train")).classes

    def shape(self) -> tuple[int, int]:
        first: np.ndarray = next(iter(decode.Reading(self.listed(Selection(part="val")), self)))
        return first.shape[0], first.shape[1]


def no_class_emptied(listing: Listing, reading: decode.Reading) -> None:
    """Raises where a class had images and none of them was readable."""
    empty = [listing.classes[label] for label in np.setdiff1d(listing.labels[listing.labels >= 0], reading.labels)]
    if empty:
        raise SynthoodError(
            f"{printable(listing.origin)}: no readable image of class {some(empty)} is left; the first that was "
            f"skipped: {reading.skipped[0]}"
        )


def counted(listing: Listing, count: int | None) -> Listing:
    """The listing; raises where it has another number of images than the configuration says."""
    if count not in (None, len(listing)):
        raise SynthoodError(f"{listing.origin}: {len(listing)} images, the configuration says {count}")
    return listing


def numbered_classes(taught: IdSource, origin: str) -> list[str]:
    """All ID classes, those left out of training too, by the numbers that labels without names mean."""
    update: dict[str, Any] = {"except_classes": []} if "except_classes" in type(taught).model_fields else {}
    classes = taught.model_copy(update=update).classes_by_label()
    if strange := misnumbered(classes):
        raise SynthoodError(
            f"{printable(origin)}: labels by number are ambiguous, since the ID class {strange} is number "
            f"{classes.index(strange)}; name the list's `classes`"
        )
    return classes

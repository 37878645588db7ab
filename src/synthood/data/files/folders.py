"""Images below a folder: one subfolder per class, or none."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from synthood.common.images import OOD_LABEL
from synthood.data.files.listing import Listing, Splits, same_classes
from synthood.data.files.settings import Folders, IdFolders
from synthood.errors import SynthoodError

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2")
)


def image_files(folder: Path) -> list[Path]:
    """Images below a folder in a fixed order, by their suffix; links are followed, a circle of them is an error."""
    return sorted(_walk(folder, []))


def _walk(folder: Path, above: list[Path]) -> Iterator[Path]:
    try:
        real = folder.resolve(strict=True)
        entries = list(folder.iterdir())
    except FileNotFoundError as error:
        raise SynthoodError(f"{folder}: not found; give the path of a folder of images") from error
    except NotADirectoryError as error:
        raise SynthoodError(f"{folder}: not a folder; give the path of a folder of images") from error
    except (OSError, RuntimeError) as error:
        raise SynthoodError(f"{folder}: a circle of links or not readable ({error}); take the link away") from error
    if real in above:
        raise SynthoodError(f"{folder}: a link to a folder above it, so it has no end; take the link away")
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, [*above, real])
        elif entry.suffix.lower() in SUFFIXES:
            yield entry


def class_names(folder: Path) -> list[str]:
    """Names of the subfolders, sorted."""
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise SynthoodError(f"{folder}: not a readable folder ({error.strerror}); give one folder per class") from error


def class_folders(folder: Path, classes: list[str] | None = None) -> Listing:
    """Images of every subfolder with its place among `classes` (default: the sorted names) as label.

    Raises where a class holds no image, or a subfolder is not among the classes.
    """
    names = class_names(folder)
    if not names:
        raise SynthoodError(f"{folder}: no folder of a class in it; put the images of every class into one of its name")
    files, labels = [], []
    for label, name in enumerate(names):
        found = image_files(folder / name)
        if not found:
            raise SynthoodError(f"{folder / name}: no image in this class; fill the folder or take it away")
        files += found
        labels += [label] * len(found)
    listing = Listing(files, np.array(labels, np.int64), names, str(folder))
    return same_classes(listing, classes, "the training images or the configuration") if classes else listing


def folder_set(settings: Folders) -> Listing:
    """All images below the path; labelled where every one lies in a subfolder."""
    folder = Path(settings.path)
    files = image_files(folder)
    if not files:
        raise SynthoodError(f"{folder}: no images below it (known endings: {' '.join(sorted(SUFFIXES))})")
    above = [file.relative_to(folder).parts for file in files]
    if any(len(parts) == 1 for parts in above):
        return Listing(files, np.full(len(files), OOD_LABEL, np.int64), [], str(folder))
    classes = sorted({parts[0] for parts in above})
    place = {name: label for label, name in enumerate(classes)}
    return Listing(files, np.array([place[parts[0]] for parts in above], np.int64), classes, str(folder))


def folder_splits(settings: IdFolders) -> Splits:
    """`train` and `test` (and `val`) below the path, `val` standing for a missing `test`, or class folders alone."""
    path = Path(settings.path)
    if not path.is_dir():
        raise SynthoodError(f"{path}: not found; give the path of a folder with one folder per class")
    there = {name for name in ("train", "val", "test") if (path / name).is_dir()}
    if not there:
        return {"all": partial(class_folders, path, settings.classes)}
    if "train" not in there or len(there) == 1:
        missing = "train" if "train" not in there else "test"
        raise SynthoodError(f"{path}: {', '.join(sorted(there))} without {missing}; give both, or class folders alone")
    classes = settings.classes or class_names(path / "train")
    if "test" not in there:
        return {name: partial(class_folders, path / of, classes) for name, of in (("train", "train"), ("test", "val"))}
    return {name: partial(class_folders, path / name, classes) for name in there}

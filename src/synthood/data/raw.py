"""Raw files as planning sees them: which a part is made from, whether they are there, and whether they have changed.

Nothing is opened but lists and tables of paths, so that planning stays fast.
"""

import csv
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR

from synthood.common.artefact import read_provenance
from synthood.data.files.layouts import files_of
from synthood.data.files.names import on_disk
from synthood.data.files.settings import (
    Arrays,
    Folders,
    IdArrays,
    IdFolders,
    IdImglist,
    IdManifest,
    IdTorchvision,
    Imglist,
    Manifest,
    Torchvision,
)
from synthood.data.settings import PartSettings

LOOKED_AT = 200_000
"""Files of one source whose size and time are compared; beyond, only those of their folders."""


def raw_paths(settings: PartSettings) -> list[Path]:
    """Files and folders that the configuration names for a part; empty where nothing raw is read."""
    source = settings.validation or settings.source
    part = "val" if settings.validation else settings.part
    match source:
        case IdArrays():
            files = {"train": source.train, "test": source.test}
            read = _splits_read(settings) or ["train" if part == "train" else "test"]
            return [path for name, file in files.items() if name in read for path in _with_labels(Path(file))]
        case Folders() | IdFolders() | Manifest() | IdManifest():
            return [on_disk(Path(source.path))]
        case Arrays():
            return _with_labels(Path(source.path))
        case Imglist():
            return [on_disk(Path(source.list)), on_disk(Path(source.path))]
        case IdImglist():
            return [on_disk(Path(name)) for name in (source.train, getattr(source, part), source.path)]
        case IdTorchvision():
            place, read = on_disk(Path(source.path)), _splits_read(settings) or [part]
            return list(dict.fromkeys(path for name in read for path in files_of(source.kind, place, name)))
        case Torchvision():
            return files_of(source.kind, on_disk(Path(source.path)), source.split)
        case _:
            return []


def _splits_read(settings: PartSettings) -> list[str]:
    """The splits that held-out classes are taken from; empty where none are held out."""
    return (list(settings.held_out_splits) or ["train", "val", "test"]) if settings.held_out else []


def _with_labels(path: Path) -> list[Path]:
    """An array, and the labels beside `images.npy` where there are some."""
    beside = path.with_name(path.name.replace("images", "labels"))
    return [path, beside] if path.suffix == ".npy" and beside != path and beside.exists() else [path]


def missing(settings: PartSettings) -> list[Path]:
    """What a part is made from and is not there."""
    return [path for path in raw_paths(settings) if not path.exists()]


def state(settings: PartSettings, made: Path) -> str:
    """A digest that changes when a raw file is added, removed, or written; empty where nothing raw is read.

    Raw data may go once `made` stands: then what its provenance recorded is given back.
    """
    paths = raw_paths(settings)
    if not paths:
        return ""
    if any(not path.exists() for path in paths):
        recorded = read_provenance(made).get("raw", "")
        return recorded if isinstance(recorded, str) else ""
    digest = hashlib.sha256()
    for number, path in enumerate(_files(settings, paths)):
        if number < LOOKED_AT or os.path.isdir(path):  # noqa: PTH112
            digest.update(_seen(path).encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def state_of_file(path: Path, made: Path) -> str:
    """The same of one file that `made` is made from."""
    if not path.exists():
        recorded = read_provenance(made).get("raw", "")
        return recorded if isinstance(recorded, str) else ""
    return hashlib.sha256(_seen(str(path)).encode(errors="surrogateescape")).hexdigest()[:16]


def state_of_folder(path: Path, made: Path) -> str:
    """The same of a folder with all that lies below it."""
    if not path.is_dir():
        return state_of_file(path, made)
    return hashlib.sha256("".join(map(_seen, _below(path))).encode(errors="surrogateescape")).hexdigest()[:16]


def _seen(path: str) -> str:
    try:
        facts = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return f"{path}\0missing\n"
    size = "" if S_ISDIR(facts.st_mode) else facts.st_size
    return f"{path}\0{size}\0{facts.st_mtime_ns}\n"


def _files(settings: PartSettings, paths: list[Path]) -> Iterator[str]:
    """The named files, and what lies in named folders or stands in lists and tables; text, which is fast to look up."""
    source = settings.validation or settings.source
    if isinstance(source, Imglist | IdImglist):
        yield from map(str, paths[:-1])
        yield from (f"{paths[-1]}/{name}" for name in _named_in_list(paths[-2]))
    elif isinstance(source, Manifest | IdManifest):
        yield str(paths[0])
        yield from (f"{paths[0].parent}/{name}" for name in _named_in_table(paths[0]))
    else:
        for path in paths:
            yield from _below(path) if path.is_dir() else [str(path)]


def _below(folder: Path) -> Iterator[str]:
    """Files and folders below a folder in a fixed order, links followed once."""
    known: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        facts = Path(place).stat()
        if (facts.st_dev, facts.st_ino) in known:
            folders.clear()
            continue
        known.add((facts.st_dev, facts.st_ino))
        folders.sort()
        yield from (f"{place}/{name}" for name in sorted(files) if not name.startswith("."))
        yield place


def _named_in_list(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        return []
    return [line.strip().rpartition(" ")[0].rstrip() for line in lines if line.strip()]


def _named_in_table(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [row.get("path") or "" for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []

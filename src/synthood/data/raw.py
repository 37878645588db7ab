"""Raw files as planning sees them: which a part is made from, whether they are there, and whether they have changed.

Nothing is opened but lists and tables of paths, so that planning stays fast.
"""

import hashlib
import os
from pathlib import Path
from stat import S_ISDIR

from synthood.common.artefact import read_provenance
from synthood.data.files.walk import below
from synthood.data.part_settings import PartSettings
from synthood.data.selection import Selection
from synthood.data.sources.base import IdSource, Source

STORED = "SYNTHOOD_RAW"
"""In the environment: a place in object storage with raw data and weights, below their paths in the configuration."""
LOOKED_AT = 200_000
"""Files of one source whose size and time are compared; beyond, only those of their folders."""


def raw_paths(settings: PartSettings) -> list[Path]:
    """Files and folders that the configuration names for a part; empty where nothing raw is read."""
    source, part = _read(settings)
    return source.raw_paths(part)


def in_storage(path: Path) -> bool:
    """Whether a file or folder comes from storage for the job that reads it: only those of relative paths can."""
    return bool(os.environ.get(STORED)) and not path.is_absolute() and ".." not in path.parts


def stored_at(path: Path) -> str:
    """The query of such a file or folder."""
    return f"{os.environ[STORED].rstrip('/')}/{path.as_posix()}"


def _read(settings: PartSettings) -> tuple[Source, Selection]:
    """What is read: the part itself, or the ID validation images that it is computed from or as large as."""
    validation = settings.validation
    return (
        (validation, Selection(part="val")) if isinstance(validation, IdSource) else (settings.source, settings.asked)
    )


def missing(settings: PartSettings) -> list[Path]:
    """What a part is made from and is not there."""
    return [path for path in raw_paths(settings) if not path.exists()]


def state(settings: PartSettings, made: Path) -> str:
    """A digest that changes when a raw file is added, removed, or written; empty where nothing raw is read here.

    Raw data may go once `made` is there: then what its provenance recorded is given back. Of raw data in storage
    Snakemake knows when they changed.
    """
    source, part = _read(settings)
    paths = [path for path in source.raw_paths(part) if not in_storage(path)]
    if not paths:
        return ""
    if any(not path.exists() for path in paths):
        recorded = read_provenance(made).get("raw", "")
        return recorded if isinstance(recorded, str) else ""
    digest = hashlib.sha256()
    for number, path in enumerate(source.raw_files(paths)):
        if number < LOOKED_AT or os.path.isdir(path):  # noqa: PTH112
            digest.update(_seen(path).encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def state_of_file(path: Path, made: Path) -> str:
    """The same of one file that `made` is made from."""
    if in_storage(path):
        return ""
    if not path.exists():
        recorded = read_provenance(made).get("raw", "")
        return recorded if isinstance(recorded, str) else ""
    return hashlib.sha256(_seen(str(path)).encode(errors="surrogateescape")).hexdigest()[:16]


def state_of_folder(path: Path, made: Path) -> str:
    """The same of a folder with all that lies below it."""
    if in_storage(path) or not path.is_dir():
        return state_of_file(path, made)
    return hashlib.sha256("".join(map(_seen, below(path))).encode(errors="surrogateescape")).hexdigest()[:16]


def _seen(path: str) -> str:
    try:
        facts = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return f"{path}\0missing\n"
    size = "" if S_ISDIR(facts.st_mode) else facts.st_size
    return f"{path}\0{size}\0{facts.st_mtime_ns}\n"

"""Artefacts on disk: written whole or not at all, verified when read by the record inside or next to them."""

import glob
import hashlib
import json
import platform
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from synthood.common.disk import unwritable
from synthood.common.identity import FORMAT, FORMS, MANIFEST, UNSEALED, Record, damage, read_record, sha256
from synthood.errors import SynthoodError

RESULTS = "results"
AGAIN = "delete it and run the same command again"
PROVENANCE = ".provenance.json"
"""What the name of an output's provenance file adds to its own."""
NODE = hashlib.sha256(platform.node().encode()).hexdigest()[:3]
"""In names of temporary files: the machine that writes them."""


def provenance_path(path: Path) -> Path:
    """Facts of the run that made `path`; no comparison looks at them."""
    return path.parent / f"{path.name}{PROVENANCE}"


def place_of(path: Path) -> str:
    """Where an artefact is below the folder of results, wherever that lies; empty elsewhere."""
    below = f"/{path.as_posix()}".rpartition(f"/{RESULTS}/")
    return below[2] if below[1] else ""


def read_provenance(path: Path) -> dict[str, Any]:
    """The facts next to an artefact; empty where there are none."""
    try:
        facts = json.loads(provenance_path(path).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return facts if isinstance(facts, dict) and isinstance(facts.get("sha256"), str) else {}


def verify(path: Path, ours: bool = False) -> str:
    """SHA-256 of an artefact, by its record; an error that names it where it is missing, damaged, or another one.

    An artefact of ours, such as all below the folder of results, must have a record, or provenance of an older version.
    """
    if not path.exists():
        raise SynthoodError(f"{path}: not found; run the stage that makes it")
    record = read_record(path)
    if record is None or record["sha256"] == UNSEALED:
        return _verify_by_provenance(path, ours or bool(place_of(path)) or (path / MANIFEST).exists(), record)
    check_record(path, record)
    if wrong := damage(path, record):
        raise _changed(path, wrong)
    return str(record["sha256"])


def verify_head(path: Path) -> None:
    """The same of a safetensors file whose data are not read."""
    record = read_record(path)
    if record is None:
        if path.suffix in FORMS and ("identity" in (facts := read_provenance(path)) or not facts):
            raise _without_identity(path)
    elif record["sha256"] != UNSEALED:
        check_record(path, record)
        if wrong := damage(path, record, parts=False):
            raise _changed(path, wrong)


def check_record(path: Path, record: Record) -> None:
    """Raises where a record is of a later format, or of an artefact from another place below the folder of results."""
    if record["format"] != FORMAT:
        raise SynthoodError(
            f"{path}: of format {record['format']}, this version reads {FORMAT}; take the version that wrote it, or "
            f"delete it and run again"
        )
    recorded, here = record.get("place", ""), place_of(path)
    if recorded and here and recorded != here:
        raise SynthoodError(f"{path}: holds {RESULTS}/{recorded}, written by {record.get('stage')}; {AGAIN}")


def _verify_by_provenance(path: Path, ours: bool, record: Record | None) -> str:
    facts, digest = read_provenance(path), sha256(path)
    if not facts and provenance_path(path).exists():
        raise SynthoodError(f"{provenance_path(path)}: truncated or changed; delete it with {path.name} and run again")
    if facts and facts["sha256"] != digest:
        raise _changed(path, f"SHA-256 {digest[:12]}, recorded {facts['sha256'][:12]}")
    if isinstance(known := facts.get("identity"), dict) and "format" in known:
        check_record(path, known)
    elif ours and record is None:
        if (path.is_dir() or path.suffix in FORMS) and not any(map(read_provenance, [path, *path.parents[:2]])):
            raise _without_identity(path)
        print(f"{path}: read without an identity (of an older version, or its provenance file is gone)", flush=True)
    return digest


def _changed(path: Path, what: str) -> SynthoodError:
    return SynthoodError(f"{path}: truncated or changed since it was written ({what}); {AGAIN}")


def _without_identity(path: Path) -> SynthoodError:
    return SynthoodError(f"{path}: damaged, or not written by this pipeline (no identity in it); {AGAIN}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A unique temporary path next to `path`, renamed to it at the end, removed on any error.

    Raises SynthoodError where the disk cannot be written.
    """
    temporary = path.parent / _passing(path.name, "tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if path.is_dir() and temporary.is_dir():
            stale = path.parent / _passing(path.name, "old")
            path.replace(stale)
            temporary.replace(path)
            shutil.rmtree(stale)
        else:
            temporary.replace(path)
    except Exception as error:  # libraries report a full disk by errors of many kinds
        if (refused := unwritable(path, error)) is not None:
            raise refused from error
        raise
    finally:
        _remove(temporary)


def sweep(path: Path) -> None:
    """Removes what a killed job of this machine left of writing `path`, whose lock the caller holds."""
    for name in (path.name, provenance_path(path).name):
        for ending in ("tmp", "old"):
            for left in path.parent.glob(f".{glob.escape(name)}.{NODE}?????.{ending}"):
                _remove(left)


def _passing(name: str, ending: str) -> str:
    """A name that nothing else has, for a short while."""
    return f".{name}.{NODE}{uuid.uuid4().hex[:5]}.{ending}"


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_provenance(path: Path, content: Path, facts: dict[str, Any]) -> None:
    """Records the digest of `content`, soon to be renamed to `path`, with the facts of the run."""
    text = json.dumps({"sha256": sha256(content), **facts}, indent=1, sort_keys=True)
    with replacing(provenance_path(path)) as temporary:
        temporary.write_text(text + "\n")

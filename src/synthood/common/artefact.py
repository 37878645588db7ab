"""Artefacts on disk: written whole or not at all, with provenance beside them, verified when read."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthood.errors import SynthoodError

CHUNK = 1 << 22


def provenance_path(path: Path) -> Path:
    """Facts of the run that made `path`; no comparison looks at them."""
    return path.parent / f"{path.name}.provenance.json"


def visible_files(folder: Path) -> list[Path]:
    """Files below `folder` in a fixed order; hidden ones belong to tools."""
    return sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))


def sha256(path: Path) -> str:
    """Digest of a file's bytes, or of the names and bytes of all visible files of a folder."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in visible_files(path):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def read_provenance(path: Path) -> dict[str, Any]:
    """The facts beside an artefact; empty where there are none."""
    try:
        facts = json.loads(provenance_path(path).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return facts if isinstance(facts, dict) and isinstance(facts.get("sha256"), str) else {}


def verify(path: Path) -> str:
    """SHA-256 of an artefact; an error that names it where it is missing or not what its stage wrote."""
    if not path.exists():
        raise SynthoodError(f"{path}: not found; run the stage that makes it")
    digest = sha256(path)
    recorded = read_provenance(path).get("sha256", digest)
    if recorded != digest:
        raise SynthoodError(
            f"{path}: truncated or changed since it was written (SHA-256 {digest[:12]}, recorded {recorded[:12]}); "
            f"delete it and run the same command again"
        )
    return digest


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A unique temporary path beside `path`, renamed to it at the end, removed on any error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        yield temporary
        if path.is_dir() and temporary.is_dir():
            stale = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.old"
            path.replace(stale)
            temporary.replace(path)
            shutil.rmtree(stale)
        else:
            temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_provenance(path: Path, content: Path, facts: dict[str, Any]) -> None:
    """Records the digest of `content`, soon to be renamed to `path`, with the facts of the run."""
    text = json.dumps({"sha256": sha256(content), **facts}, indent=1, sort_keys=True)
    with replacing(provenance_path(path)) as temporary:
        temporary.write_text(text + "\n")

"""Runs whose results lie in object storage: a first look at it, a place for resume states, few and equal sources."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthood.common.artefact import PROVENANCE
from synthood.data.raw import STORED
from synthood.errors import SynthoodError, printable

RESUME = "SYNTHOOD_RESUME"
"""In the environment: a folder, best on a volume, for the states of unfinished fits; `.resume` is a link to it."""
SOURCES = "SYNTHOOD_SOURCES"
"""In a job's environment: the digest of the package of the Snakemake that submitted it."""
PASSED_ON = (RESUME, SOURCES, STORED, "SYNTHOOD_GPU_LIMIT", "SYNTHOOD_SAVE_SECONDS")
ARCHIVED = ("Snakefile", "rules", "envs/synthood.yaml", "profiles", "report")
UNREACHABLE = ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError")


def look(provider: Any, prefix: str) -> None:
    """One question to the storage, where planning asks hundreds at once.

    Raises SynthoodError: what is wrong with it, and what to do.
    """
    query = f"{prefix.rstrip('/')}/results/report/index.html"
    try:
        provider.object(query).exists()
    except Exception as error:  # of whichever client the plug-in has
        raise SynthoodError(f"storage {prefix}: {_wrong(error)}") from None


def _wrong(error: Exception) -> str:
    name, code = type(error).__name__, str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return "no credentials; set SNAKEMAKE_STORAGE_S3_ACCESS_KEY and SNAKEMAKE_STORAGE_S3_SECRET_KEY"
    if code in ("400", "401", "403", "AccessDenied"):
        return f"access refused ({code}); check the keys, their rights in this bucket, and this machine's clock"
    if code.startswith("5"):
        return f"the server fails ({code}); run the same command again once it works"
    if name in UNREACHABLE:
        return f"nothing answers ({printable(str(error))}); check --storage-s3-endpoint-url and the network"
    return f"{name}: {printable(str(error))}"


def link_resume(environment: Mapping[str, str], prefix: str = "") -> None:
    """Makes `.resume` a link into the folder that the environment names; without one nothing changes.

    An imported module has a `prefix`, before the link as in that folder. Raises SynthoodError where something else
    stands there, or the folder cannot be made.
    """
    if not (named := environment.get(RESUME)):
        return
    link, folder = Path(f"{prefix}.resume"), Path(f"{named}/{prefix}").resolve()
    if link.is_symlink() or link.exists():
        if link.resolve() != folder:
            raise SynthoodError(f"{link}: in the way of {RESUME}={named}; move its content there, then remove it")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder)
    except OSError as error:
        raise SynthoodError(f"{RESUME}={named}: {error.strerror or error}; mount the volume, or unset it") from None


def forget_provenance(copies: Path) -> None:
    """Removes provenance beside local copies of stored artefacts, which another machine may have made anew."""
    for path in list(copies.rglob(f"*{PROVENANCE}")):
        path.unlink(missing_ok=True)


def digest_of_package(root: Path) -> str:
    """Twelve hex digits of the names and bytes of the package's Python files below `root`."""
    digest = hashlib.sha256()
    for file in sorted((root / "synthood").rglob("*.py")):
        digest.update(
            f"{file.relative_to(root).as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()[:12]


def check_sources(root: Path, environment: Mapping[str, str]) -> None:
    """Raises SynthoodError where a job's package is not that of the Snakemake that submitted it."""
    expected = environment.get(SOURCES)
    if expected and (found := digest_of_package(root)) != expected:
        raise SynthoodError(
            f"{root / 'synthood'}: digest {found}, but {expected} submitted this job; build the image from the same "
            f"version of synthood"
        )


def write_sources(workflow: Path, config: Path, folder: Path) -> list[Path]:
    """Copies a configuration and the workflow's files, without the package, into a new folder to run Snakemake in.

    Raises SynthoodError where the folder has something in it, or the configuration is missing.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SynthoodError(f"{folder}: not empty; name a new folder")
    if not config.is_file():
        raise SynthoodError(f"{config}: no such file; name a configuration")
    for name in ARCHIVED:
        source, target = workflow / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    shutil.copyfile(config, folder / "config.yaml")
    return sorted(path for path in folder.rglob("*") if path.is_file())

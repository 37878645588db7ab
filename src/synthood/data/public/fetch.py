"""Downloads of public data: resumed where they broke off, from several sources, checked by their digests."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated

import yaml
from filelock import FileLock
from pydantic import Field, model_validator

from synthood.common.settings import Count, Settings
from synthood.data.public.unpack import unpack
from synthood.errors import SynthoodError, nearest

REGISTRY = Path(__file__).parent / "downloads.yaml"
CHUNK = 1 << 20
TIMEOUT = 30.0
ATTEMPTS = 3


class File(Settings):
    """One file: where it may be had, what its bytes are, where it is put, and what it unpacks to."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    urls: Annotated[list[Annotated[str, Field(pattern=r"^https?://")]], Field(min_length=1)]
    md5: Annotated[str | None, Field(pattern="^[0-9a-f]{32}$")] = None
    sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None
    folder: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_/-]*$|^$")] = ""
    gives: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = None
    largest_mb: Count

    @model_validator(mode="after")
    def _has_a_digest(self) -> "File":
        if not (self.md5 or self.sha256):
            raise ValueError(f"{self.name}: give md5 or sha256")
        return self

    @property
    def sources(self) -> list[str]:
        return [url.replace("NAME", self.name) for url in self.urls]


class Download(Settings):
    """A data set: its files, what must be fetched by hand, and how a configuration names it."""

    use: str
    files: list[File] = []
    by_hand: dict[str, str] = {}


def registry(path: Path = REGISTRY) -> dict[str, Download]:
    """What can be fetched, by name."""
    content = yaml.safe_load(path.read_text())
    return {name: Download.model_validate(entry) for name, entry in content.items()}


def fetch(name: str, target: Path, known: dict[str, Download]) -> str:
    """Brings a data set below `target`, and says how a configuration names it; what is there already is left alone.

    Raises, with every file that is still missing, where it may be had and where to put it.
    """
    if name not in known:
        raise SynthoodError(f"nothing is known of data set {name!r}{nearest(name, known)}")
    download = known[name]
    target.mkdir(parents=True, exist_ok=True)
    lost = []
    with FileLock(target / ".fetch.lock"):
        for file in download.files:
            reasons = _bring(file, target)
            if reasons:
                lost.append(_told(file, target, reasons))
    lost += [
        f"{target / place}: {source}" for place, source in download.by_hand.items() if not _is_there(target / place)
    ]
    if lost:
        raise SynthoodError("\n  ".join([f"{name}: {len(lost)} files are missing; put them there by hand:", *lost]))
    return f"{name}: ready below {target}; in a configuration: {download.use.replace('PATH', str(target))}"


def fetch_all(wanted: list[tuple[str, Path]], known: dict[str, Download]) -> str:
    """Brings several data sets below their folders; what cannot be had of all of them is told at the end, at once."""
    told, lost = [], []
    for name, target in wanted:
        try:
            told.append(fetch(name, target, known))
        except SynthoodError as error:
            lost.append(str(error))
    if lost:
        raise SynthoodError("\n".join(lost))
    return "\n".join(told) or "nothing to fetch: whatever the configuration names is there, or is not public"


def _is_there(place: Path) -> bool:
    """Whether a file is there, or a folder with something in it."""
    return next(place.iterdir(), None) is not None if place.is_dir() else place.exists()


def _told(file: File, target: Path, reasons: list[str]) -> str:
    digest = f"MD5 {file.md5}" if file.md5 else f"SHA-256 {file.sha256}"
    return f"{target / file.folder / file.name} ({digest}) from {' or '.join(file.sources)} ({'; '.join(reasons)})"


def _bring(file: File, target: Path) -> list[str]:
    """Why a file could not be had; empty where it is there."""
    folder = target / file.folder
    place = folder / file.name
    if file.gives and (folder / file.gives).exists():
        return []
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    if place.exists() and not fits(place, file):
        return [f"the file that is there has another digest ({digest_of(place, file)}); delete it"]
    if not place.exists():
        part = place.with_name(f"{place.name}.part")
        for url in file.sources:
            try:
                download(url, part, file)
                part.replace(place)
                break
            except (OSError, http.client.HTTPException, ValueError, SynthoodError) as error:
                reasons.append(f"{url}: {error}")
        else:
            return reasons
    if file.gives:
        unpack(place, folder, file.gives, file.largest_mb << 20)
        place.unlink()
    return []


def digest_of(path: Path, file: File) -> str:
    """The digest of a file by the function that the registry names for it."""
    digest = hashlib.sha256() if file.sha256 else hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def fits(path: Path, file: File) -> bool:
    """Whether a file has the recorded digest."""
    return digest_of(path, file) == (file.sha256 or file.md5)


def download(url: str, part: Path, file: File) -> None:
    """Fills `part` from a source, going on where it broke off; raises where its bytes are not the recorded ones."""
    for attempt in range(ATTEMPTS):
        if part.exists() and fits(part, file):
            return
        whole = _append(url, part, file.largest_mb << 20)
        if whole is None or part.stat().st_size >= whole:
            if fits(part, file):
                return
            found = digest_of(part, file)
            part.unlink()
            raise SynthoodError(f"wrong checksum ({found}, recorded {file.sha256 or file.md5})")
        print(f"{url}: broke off at {part.stat().st_size} of {whole} bytes, attempt {attempt + 1}", flush=True)
    raise SynthoodError(f"broke off {ATTEMPTS} times; the same command goes on from there")


def _append(url: str, part: Path, largest: int) -> int | None:
    """Adds what a source sends to `part`; the size of the whole file, where the source says it."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "synthood"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        part.unlink()
        return _append(url, part, largest)
    with response:
        goes_on = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if not goes_on:
            have = 0
        elif not str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
            raise SynthoodError("sent another range than was asked for")
        length = response.headers.get("Content-Length")
        with part.open("ab" if goes_on else "wb") as stream:
            size = have
            while block := response.read(CHUNK):
                size += len(block)
                if size > largest:
                    part.unlink()
                    raise SynthoodError(f"sends more than {largest} bytes")
                stream.write(block)
    return have + int(length) if length and length.isdigit() else None

"""The record inside an artefact that says what it is: stage, place, digests of settings and inputs, format number.

It also holds a SHA-256, computed with zeros in that digest's place, and digests of the parts that this one leaves out:
the data of a safetensors file, whose head has the record in its metadata, and the files of a folder, which has it in
`identity.json`. In a Parquet file's metadata, and in a PNG file's tEXt chunk, the one digest covers all of the file.
"""

import hashlib
import json
import mmap
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = 1
UNSEALED = "0" * 64
"""The digest in a file that no job has finished, such as one of a folder, which the folder's manifest covers."""
KEY = "identity"
MANIFEST = "identity.json"
SPACE = 4096
"""Bytes that a safetensors file's head keeps free for its record."""
CHUNK = 1 << 22
MARK, END = b"tEXtsynthood\0", b"\0\0\0\0IEND\xaeB`\x82"
Record = dict[str, Any]


class Form(NamedTuple):
    """How one kind of artefact holds its record: reads its text, writes it, digests the artefact with zeros in it."""

    read: Callable[[Path], str | None]
    write: Callable[[Path, str], None]
    digest: Callable[[Path, Record], str]
    parts: Callable[[Path], dict[str, str]] = lambda _: {}


def visible_files(folder: Path) -> list[Path]:
    """Files below `folder` in a fixed order; hidden ones belong to tools."""
    return sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))


def sha256(path: Path, start: int = 0, stop: int | None = None) -> str:
    """Digest of a file's bytes, from `start` to `stop`, or of the names and bytes of all visible files of a folder."""
    digest = hashlib.sha256()
    if path.is_dir():
        for name, content in file_digests(path).items():
            digest.update(f"{name}\0{content}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        left = (path.stat().st_size if stop is None else stop) - stream.seek(start)
        while block := stream.read(min(CHUNK, left)):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every visible file of a folder by its name there."""
    return {file.relative_to(folder).as_posix(): sha256(file) for file in visible_files(folder)}


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of the names and digests of a folder's visible files."""
    if path.is_file():
        return sha256(path)
    text = "".join(f"{name} {digest}\n" for name, digest in sorted(file_digests(path).items()))
    return hashlib.sha256(text.encode()).hexdigest()


def form_of(path: Path, content: Path) -> Form | None:
    """How the artefact `path`, whose content may still be elsewhere, holds its record; None where it cannot."""
    return FOLDER if content.is_dir() else FORMS.get(path.suffix)


def read_record(path: Path) -> Record | None:
    """The record in an artefact; None where there is none that can be read."""
    form = form_of(path, path)
    try:
        record = json.loads((form and form.read(path)) or "null")
    except (ValueError, OSError, AttributeError, TypeError):  # of a file that is damaged or not ours
        return None
    return record if isinstance(record, dict) and {"format", "sha256"} <= record.keys() else None


def seal(path: Path, content: Path, record: Record) -> None:
    """Puts the record and the digests into `content`, soon to be renamed to `path`, where its kind can hold them."""
    form = form_of(path, content)
    if form is None:
        return
    record = record | {"parts": form.parts(content), "sha256": UNSEALED}
    form.write(content, text_of(record))
    record["sha256"] = form.digest(content, record)
    form.write(content, text_of(record))


def text_of(record: Record) -> str:
    return json.dumps(record, sort_keys=True)


def damage(path: Path, record: Record, parts: bool = True) -> str | None:
    """What is not as the record says; None where all is. Without `parts`, what the record's digest covers."""
    form = form_of(path, path)
    if form is None or (digest := form.digest(path, record)) != record["sha256"]:
        return f"SHA-256 {digest[:12]}, recorded {str(record['sha256'])[:12]}" if form else "its kind has no record"
    current, recorded = (form.parts(path), record["parts"]) if parts else ({}, {})
    return next((name for name in sorted({*current, *recorded}) if current.get(name) != recorded.get(name)), None)


def _digest_with_zeros(path: Path, record: Record, size: int | None = None) -> str:
    """Of the first `size` bytes."""
    known = str(record["sha256"]).encode()
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), size or 0, access=mmap.ACCESS_READ) as content:
        place = max(0, content.rfind(known))
        with memoryview(content) as view:
            digest = hashlib.sha256(view[:place])
            digest.update(UNSEALED.encode())
            digest.update(view[place + len(known) :])
    return digest.hexdigest()


def read_head(path: Path) -> tuple[int, dict[str, Any]]:
    """Length and content of a safetensors file's head."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if 8 + size > path.stat().st_size:
            raise ValueError("no head of a safetensors file")
        return size, json.loads(stream.read(size))


def _read_tensors(path: Path) -> str | None:
    text: str | None = read_head(path)[1].get("__metadata__", {}).get(KEY)
    return text


def _write_tensors(path: Path, text: str) -> None:
    size, head = read_head(path)
    head["__metadata__"][KEY] = text
    content = json.dumps(head, sort_keys=True).encode().ljust(size)
    if len(content) > size:
        raise ValueError(f"{path}: a record of {len(text)} bytes does not fit")
    with path.open("r+b") as stream:
        stream.seek(8)
        stream.write(content)


def _read_parquet(path: Path) -> str | None:
    from pyarrow import parquet

    text = (parquet.read_metadata(path).metadata or {}).get(KEY.encode())
    return None if text is None else text.decode()


def _write_parquet(path: Path, text: str) -> None:
    from pyarrow import parquet

    if (known := _read_parquet(path)) is not None and len(known) == len(text):
        content = path.read_bytes()
        place = content.rfind(known.encode())
        with path.open("r+b") as stream:
            stream.seek(place)
            stream.write(text.encode())
        return
    table = parquet.ParquetFile(path).read()
    with parquet.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: text})


def _png(body: bytes, text: str) -> bytes:
    chunk = MARK + text.encode()
    return body + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + END


def _png_parts(content: bytes) -> tuple[bytes, str | None]:
    """The image without its end, and the text of its record, which comes last."""
    body, mark, rest = content.rpartition(MARK)
    return (body[:-4], rest[: -4 - len(END)].decode()) if mark else (content.removesuffix(END), None)


def _read_png(path: Path) -> str | None:
    return _png_parts(path.read_bytes())[1]


def _write_png(path: Path, text: str) -> None:
    path.write_bytes(_png(_png_parts(path.read_bytes())[0], text))


def _digest_png(path: Path, record: Record) -> str:
    """With zeros in the digest and in its checksum; of a file that is not written as here, of the bytes as they are."""
    content = path.read_bytes()
    body = _png_parts(content)[0]
    as_written = content == _png(body, text_of(record))
    return hashlib.sha256(_png(body, text_of(record | {"sha256": UNSEALED})) if as_written else content).hexdigest()


def _read_manifest(path: Path) -> str | None:
    return (path / MANIFEST).read_text() if (path / MANIFEST).exists() else None


def _write_manifest(path: Path, text: str) -> None:
    (path / MANIFEST).write_text(json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n")


FOLDER = Form(
    _read_manifest,
    _write_manifest,
    lambda path, record: _digest_with_zeros(path / MANIFEST, record),
    lambda path: {name: digest for name, digest in file_digests(path).items() if name != MANIFEST},
)
FORMS = {
    ".safetensors": Form(
        _read_tensors,
        _write_tensors,
        lambda path, record: _digest_with_zeros(path, record, 8 + read_head(path)[0]),
        lambda path: {"data": sha256(path, 8 + read_head(path)[0])},
    ),
    ".parquet": Form(_read_parquet, _write_parquet, _digest_with_zeros),
    ".png": Form(_read_png, _write_png, _digest_png),
}

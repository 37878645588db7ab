"""Archives, unpacked without leaving their folder: no path outside it, no links, no more bytes than announced."""

import errno
import lzma
import shutil
import stat
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from synthood.data.files.names import inside
from synthood.errors import UNSAFE, SynthoodError, printable

CHUNK = 1 << 20
MOST_MEMBERS = 2_000_000
Member = tuple[str, IO[bytes]]
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError,
    ValueError,
)  # fmt: skip
"""What the readers of archives raise; those of gzip and bzip2 raise OSError without a number."""


def unpack(archive: Path, folder: Path, gives: str, largest: int) -> None:
    """Unpacks a .tar, .tar.gz or .zip whose files lie in `gives`, and puts that folder into `folder` as a whole.

    Raises, and leaves nothing behind, at a damaged archive, a member that is a link, a device or outside of `gives`, or
    more than `largest` bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f".{gives}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with closing(_members(archive)) as members:
            _write(archive, members, place, gives, largest)
        if not (place / gives).is_dir():
            raise SynthoodError(f"{archive}: holds no {gives}/; not the known archive")
        (place / gives).replace(folder / gives)
    except DAMAGED as error:
        raise SynthoodError(f"{archive}: damaged ({printable(error)}); delete it and fetch it again") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise SynthoodError(f"{archive}: damaged ({printable(error)}); delete it and fetch it again") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _write(archive: Path, members: Iterator[Member], place: Path, gives: str, left: int) -> None:
    for name, stream in members:
        if Path(name).parts[0] != gives:
            raise SynthoodError(f"{archive}: {name!r} lies outside of {gives}/, which it should hold")
        with _created(archive, name, place / name) as output:
            while block := stream.read(CHUNK):
                left -= len(block)
                if left < 0:
                    raise SynthoodError(f"{archive}: unpacks to more bytes than were announced; not the known archive")
                output.write(block)


def _created(archive: Path, name: str, target: Path) -> IO[bytes]:
    """The new file, open; raises where there is one of its name, or the file system cannot hold the name."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise SynthoodError(f"{archive}: {name!r} stands in it twice") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise SynthoodError(f"{archive}: the name {printable(name)!r} is too long for this file system") from error


def _members(archive: Path) -> Generator[Member, None, None]:
    """Name and content of every file of an archive, checked."""
    with _opened(archive) as opened:
        for number, (name, plain, stream) in enumerate(opened):
            if number >= MOST_MEMBERS:
                raise SynthoodError(f"{archive}: more than {MOST_MEMBERS} files; not the known archive")
            if (not Path(name).parts and stream is not None) or UNSAFE.search(name):
                raise SynthoodError(f"{archive}: member {number + 1} has no usable name ({printable(name)!r})")
            if not inside(name):
                raise SynthoodError(f"{archive}: {name!r} leaves the folder it is unpacked into")
            if not plain:
                raise SynthoodError(f"{archive}: {name!r} is a link or a device; not the known archive")
            if stream is not None:
                yield name, stream


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[tuple[str, bool, IO[bytes] | None]]]:
    """Name of every member, whether it is a file or a folder, and a file's content."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed, closing(_of_zip(packed)) as members:
            yield members
    else:
        with tarfile.open(archive) as tar:
            yield ((m.name, m.isfile() or m.isdir(), tar.extractfile(m) if m.isfile() else None) for m in tar)


def _of_zip(packed: zipfile.ZipFile) -> Generator[tuple[str, bool, IO[bytes] | None], None, None]:
    for info in packed.infolist():
        mode = info.external_attr >> 16
        plain = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
        if info.filename and (info.is_dir() or not plain):
            yield info.filename, plain, None
        else:
            with packed.open(info) as stream:
                yield info.filename, True, stream

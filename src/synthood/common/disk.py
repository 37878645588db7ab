"""A disk that cannot be written, as full or read-only ones: libraries tell it by errors of many kinds."""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from synthood.errors import SynthoodError, first_line

FULL = "no space is left on its disk; free some"
ALWAYS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: "the quota of its disk is used up; free some space there, or ask for more",
    errno.EFBIG: "it is larger than its disk or `ulimit -f` allows; raise the limit",
    errno.EROFS: "its disk is read-only; make it writable, or run in another folder",
}
"""What is wrong, whatever was being done, and what to do."""
OF_THE_PLACE = {
    errno.EACCES: "this user may not write there; change the rights of the folder",
    errno.EPERM: "this user may not write there; change the rights of the folder",
}
"""The same where the error names what is written, its lock, its temporary file, or a folder above."""
LITTLE = 1 << 20
"""Bytes left on a disk that is as good as full."""
NUMBER = re.compile(r"\[Errno (\d+)\]|\(os error (\d+)\)")
OF_TORCH = re.compile(r"PytorchStreamWriter failed|unexpected pos|file write failed")
AGAIN = "then run the same command again"


def unwritable(path: Path, error: BaseException) -> SynthoodError | None:
    """The error for the user where `error` came about because `path` could not be written; None of any other."""
    chain = list(_chain(error))
    if any(isinstance(one, SynthoodError) for one in chain):
        return None
    for one in chain:
        place = Path(str(one.filename)) if isinstance(one, OSError) and one.filename else path
        near = place == path or place in path.parents or f"/.{path.name}." in place.as_posix()
        if cause := wrong_with_disk(one, near):
            return SynthoodError(f"{place}: not written, {cause}, {AGAIN}")
    for one in chain:
        if OF_TORCH.search(str(one)):
            cause = FULL if is_full(path.parent) else f"{first_line(one)}; look at the space and quota of its disk"
            return SynthoodError(f"{path}: not written, {cause}, {AGAIN}")
    return None


def wrong_with_disk(error: BaseException | str, near: bool = False) -> str | None:
    """What the error, or its text, says of a disk, and what to do; None where it says nothing of one."""
    causes = ALWAYS | OF_THE_PLACE if near else ALWAYS
    if isinstance(error, OSError) and error.errno is not None:
        return causes.get(error.errno)
    if (found := NUMBER.search(str(error))) is not None:
        return causes.get(int(found[1] or found[2]))
    return None


def is_full(folder: Path) -> bool:
    """Whether nothing more can be written to the disk of a folder, or of the first one above that is there."""
    there = next(place for place in (folder, *folder.resolve().parents) if place.exists())
    facts = os.statvfs(there)
    return facts.f_bavail * facts.f_frsize < LITTLE


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__

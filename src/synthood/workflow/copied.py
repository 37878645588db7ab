"""Times of artefacts, by which Snakemake knows what is newer than what, where a copy or a wrong clock changed them.

`cp -r` and clouds leave times of their own. What an artefact holds is verified by its record, whatever its time says.
"""

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from synthood.common.artefact import PROVENANCE, replacing

MARK = ".place"
"""In the folder of results: which folder it is."""
TIMESTAMP = ".snakemake_timestamp"
"""What Snakemake takes for the time of a folder."""
FORMAT = "%Y-%m-%dT%H:%M:%S%z"


def restore_times(results: Path) -> int:
    """Where the folder is a copy, sets each artefact's time to when its job finished; gives how many were set.

    Looks at nothing but a mark where it is none. Leaves a folder alone that cannot be written.
    """
    mark = results / MARK
    here = f"{results.stat().st_ino} {results.resolve()}\n"
    if mark.is_file() and mark.read_text() == here:
        return 0
    count = 0
    with suppress(OSError):
        for path in results.rglob(f"*{PROVENANCE}"):
            artefact = path.with_name(path.name.removesuffix(PROVENANCE))
            if (finished := _finished(path)) is not None and artefact.exists() and not artefact.is_symlink():
                count += _set(artefact, finished)
        with replacing(mark) as temporary:
            temporary.write_text(here)
    return count


def leave_the_future(results: Path, needed: Iterable[Path]) -> int:
    """Where a needed file was written by a clock that was ahead, or has been set back, all such files are of now.

    Whatever is made from it would seem older, which Snakemake takes for an error. Gives how many files were set.
    """
    now = time.time()
    if not any(_is_later(place, now) for path in needed for place in (path, path / TIMESTAMP)):
        return 0
    found = [path for path in results.rglob("*") if _is_later(path, now)]
    for path in found:
        with suppress(OSError):
            os.utime(path, (now, now))
    return len(found)


def _is_later(path: Path, now: float) -> bool:
    try:
        return path.stat().st_mtime > now
    except OSError:
        return False


def _finished(provenance: Path) -> int | None:
    """Seconds since 1970 at which a job was done; None where its record does not tell."""
    try:
        return int(datetime.strptime(json.loads(provenance.read_text())["finished"], FORMAT).timestamp())
    except (ValueError, KeyError, TypeError):
        return None


def _set(artefact: Path, seconds: int) -> bool:
    """Whether the time was another one. All are set to whole seconds: some alone would seem older than their inputs."""
    of_folder = artefact / TIMESTAMP
    known = of_folder if of_folder.is_file() else artefact
    changed = known.stat().st_mtime != seconds
    for path in (known, artefact):
        os.utime(path, (seconds, seconds))
    return changed

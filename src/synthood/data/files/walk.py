"""What lies below a folder, for a look at sizes and times alone."""

import os
from collections.abc import Iterator
from pathlib import Path


def below(folder: Path) -> Iterator[str]:
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

"""Digests of code, kept between plans for as long as no file of the package changes, as Python keeps its bytecode."""

import functools
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from synthood.common.artefact import replacing

FILE = Path("synthood", "__pycache__", "code_digests.json")


class CodeCache:
    """Texts by key, valid for one state of all Python files below a folder; on disk where that can be written."""

    def __init__(self, root: Path) -> None:
        self.file, self.state, self.values = root / FILE, state_of(root / FILE.parts[0]), dict[str, str]()
        try:
            stored = json.loads(self.file.read_text())
            if stored["state"] == self.state:
                self.values = {str(key): str(value) for key, value in stored["values"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # none yet, or not whole: computed again

    def get(self, key: str, compute: Callable[[], str]) -> str:
        """The text of a key, computed where it is not known."""
        if key not in self.values:
            self.values[key] = compute()
            if not sys.dont_write_bytecode:
                self._write()
        return self.values[key]

    def _write(self) -> None:
        try:
            with replacing(self.file) as temporary:
                temporary.write_text(json.dumps({"state": self.state, "values": self.values}))
        except OSError:
            pass  # an installation that the user may not write


@functools.cache
def cache_of(root: Path) -> CodeCache:
    """The cache of a package's folder, whose state is taken once per process."""
    return CodeCache(root)


def state_of(folder: Path) -> str:
    """SHA-256 of the names and bytes of all Python files below a folder, and of the Python that reads them."""
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(folder.rglob("*.py")):
        data = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()

"""Names of classes, splits and files: one Unicode form, numbers in their order, and safe to show in a message."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from synthood.errors import SynthoodError, printable

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What folders and tables call a split, in any case."""


def normal(name: str) -> str:
    """The composed form (NFC): macOS writes names decomposed, most other programs composed."""
    return unicodedata.normalize("NFC", name)


def some(names: Sequence[object], count: int = 5) -> str:
    """The first names, for a message."""
    return ", ".join(map(printable, names[:count])) + (", ..." if len(names) > count else "")


def split_of(name: str) -> str | None:
    """`train`, `val` or `test` where the name is one of its synonyms."""
    return SPLIT_NAMES.get(normal(name).casefold())


def is_number(name: str) -> bool:
    """Whether a name is a label by number."""
    return name.isascii() and name.isdigit()


def in_order(names: Iterable[str]) -> list[str]:
    """Distinct names, numbers first and by value, then words."""
    return sorted(set(names), key=lambda name: (0, int(name), name) if is_number(name) else (1, 0, name))


def misnumbered(names: Sequence[str]) -> str | None:
    """The first number among the names that is not its own index, so that labels by number are ambiguous."""
    return next((name for index, name in enumerate(names) if is_number(name) and int(name) != index), None)


def sorted_paths(paths: Iterable[Path]) -> list[Path]:
    """Paths in the order of their parts, whatever their Unicode form."""
    return sorted(paths, key=lambda path: [normal(part) for part in path.parts])


def on_disk(path: Path, seen: dict[Path, dict[str, list[str]]] | None = None) -> Path:
    """The path as the file system spells it: another Unicode form of a part is used where only that exists.

    `seen` keeps the names of folders for the paths that follow.
    """
    if str(path).isascii() or path.exists():
        return path
    seen = {} if seen is None else seen
    found = Path(path.anchor)
    for part in path.parts[bool(path.anchor) :]:
        if not os.path.lexists(found / part) and found.is_dir():
            if found not in seen:
                seen[found] = {}
                for name in sorted(entry.name for entry in found.iterdir()):
                    seen[found].setdefault(normal(name), []).append(name)
            same = seen[found].get(normal(part), [part])
            if len(same) > 1:
                raise SynthoodError(
                    f"{printable(found / part)}: {len(same)} names there differ only in their Unicode form; rename one"
                )
            part = same[0]
        found /= part
    return found


def inside(path: str) -> bool:
    """Whether a relative path stays below its root."""
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts and "\0" not in path and "\\" not in path


def read_text(path: Path, what: str) -> str:
    """Text of a UTF-8 file, without a byte order mark; an error names it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise SynthoodError(f"{path}: not found; give the path of {what}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SynthoodError(f"{path}: not readable as UTF-8 text ({error})") from error

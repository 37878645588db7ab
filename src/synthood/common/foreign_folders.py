"""Folders of weights from elsewhere: no code in them that a library might run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthood.errors import SynthoodError

ASKS_FOR_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")
"""Keys of the libraries' JSON files that name code to run."""


def refuse_code(folder: Path) -> None:
    """Raises SynthoodError at the first Python file, and at a JSON file next to the weights that asks for code."""
    for file in sorted(folder.rglob("*.py")):
        raise SynthoodError(f"{str(file)!r}: code, which weights do not need and a library might run; remove the file")
    for file in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
        for key, value in entries(read_json(file)):
            if key in ASKS_FOR_CODE and value not in (None, False, {}, []):
                raise SynthoodError(f"{str(file)!r}: {key} asks for code, which is not run; remove the key")


def read_json(path: Path) -> Any:
    """The file's content; SynthoodError where it is no JSON."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise SynthoodError(f"{str(path)!r}: not readable JSON ({type(error).__name__}); fetch it again") from error


def entries(content: Any) -> Iterator[tuple[str, Any]]:
    """All keys of a JSON file with their values, at any depth."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one

"""Digests of Python code by its syntax: the same whatever its comments, docstrings and layout."""

import ast
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthood.errors import SynthoodError


def code_of_file(file: Path) -> str:
    """Of one file that is no module of this package, such as a user's detector, and of what it imports relatively."""
    digest, waiting, seen = hashlib.sha256(), [file], set[Path]()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            tree = ast.parse(one.read_text())
        except OSError as error:
            raise SynthoodError(
                f"{one}: cannot be read ({error.strerror}); paths start where snakemake runs"
            ) from error
        except SyntaxError as error:
            raise SynthoodError(f"{one}: line {error.lineno}: {error.msg}") from error
        digest.update(shape_of(tree).encode())
        waiting += _neighbours(tree, one.parent)
    return digest.hexdigest()[:12]


def _neighbours(tree: ast.Module, folder: Path) -> list[Path]:
    """Files that a file in this folder imports relatively."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            bases = [folder.joinpath(*name.split(".")) for name in names if name]
            found += [f for base in bases for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()]
    return sorted(found)


def digest_of(tree: ast.AST) -> str:
    """SHA-256 of the JSON of a syntax tree."""
    return hashlib.sha256(shape_of(tree).encode()).hexdigest()


def shape_of(tree: ast.AST) -> str:
    """JSON of a syntax tree without positions, comments, docstrings and empty fields: the same on every Python."""
    written: list[str] = []
    _write(tree, written.append)
    return "".join(written)


def _write(node: Any, write: Callable[[str], None]) -> None:
    if isinstance(node, ast.AST):
        write(f'["{type(node).__name__}"')
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != []:
                write(f', ["{name}", ')
                _write(value, write)
                write("]")
        write("]")
    elif isinstance(node, list):
        comma = ""
        write("[")
        for item in node:
            if not is_text(item):
                write(comma)
                comma = ", "
                _write(item, write)
        write("]")
    else:
        write(json.dumps(repr(node)))


def is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

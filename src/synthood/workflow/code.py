"""A digest of the code that a stage runs: its module and all of this package that it imports."""

import ast
import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthood.errors import SynthoodError

PACKAGE_ROOT = Path(__file__).parents[2]
NOT_RESULTS = (
    "synthood",
    "synthood.common.progress",
    "synthood.common.stage",
    "synthood.common.devices",
    "synthood.errors",
)
"""Modules that change how a job runs and reports, not what it writes."""


def code_of(module: str, root: Path = PACKAGE_ROOT) -> str:
    """Twelve hex digits that change when the code behind `module` does, not with comments or docstrings."""
    digest = hashlib.sha256()
    for name, file in sorted(modules_behind(module, root).items()):
        digest.update(f"{name} {_read(file.read_text())[0]}\n".encode())
    return digest.hexdigest()[:12]


def code_of_file(file: Path) -> str:
    """The same for one file that is no module of this package, such as a user's detector."""
    try:
        return _read(file.read_text())[0][:12]
    except OSError as error:
        raise SynthoodError(f"{file}: cannot be read ({error.strerror}); paths start where snakemake runs") from error
    except SyntaxError as error:
        raise SynthoodError(f"{file}: line {error.lineno}: {error.msg}") from error


def modules_behind(module: str, root: Path = PACKAGE_ROOT) -> dict[str, Path]:
    """`module` and every module below `root` that it imports, anywhere in its text, all the way down."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file_of(name, root)
        if file is None or name in found or name in NOT_RESULTS:
            continue
        found[name] = file
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        waiting += [name.rpartition(".")[0], *_imports(file.read_text(), package)]
    return found


@functools.cache
def _file_of(name: str, root: Path) -> Path | None:
    if not name:
        return None
    base = root.joinpath(*name.split("."))
    return next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)


def _imports(text: str, package: str) -> Iterator[str]:
    parents = package.split(".")
    for level, base, names in _read(text)[1]:
        above = parents[: len(parents) - level + 1] if level else []
        full = ".".join([*above, *([base] if base else [])])
        yield from (full, *(f"{full}.{name}" for name in names))


@functools.cache
def _read(text: str) -> tuple[str, list[tuple[int, str | None, list[str]]]]:
    """The digest of a module's shape, and its imports as level, base and names; its tree is soon let go."""
    tree = ast.parse(text)
    imports: list[tuple[int, str | None, list[str]]] = []
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module, [alias.name for alias in node.names]))
    return hashlib.sha256(json.dumps(_shape(tree)).encode()).hexdigest(), imports


def _statements(block: ast.AST) -> Iterator[ast.AST]:
    """All statements in a block, however deep: expressions, most of a tree, hold none."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(block, field, ()):
            yield inner
            yield from _statements(inner)


def _shape(node: Any) -> Any:
    """A syntax tree without positions, comments, docstrings and empty fields: the same on every Python."""
    if isinstance(node, ast.AST):
        fields = [(name, getattr(node, name, None)) for name in node._fields]
        return [
            type(node).__name__,
            *([name, _shape(value)] for name, value in fields if value is not None and value != []),
        ]
    if isinstance(node, list):
        return [_shape(item) for item in node if not _is_text(item)]
    return repr(node)


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

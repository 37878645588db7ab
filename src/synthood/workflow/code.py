"""A digest of the code that a stage runs: its module and all of this package that it imports."""

import ast
import functools
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from synthood.common.syntax import code_of_file, digest_of, is_text
from synthood.plugins import Plugin, plugins_in
from synthood.workflow.code_cache import cache_of

PACKAGE_ROOT = Path(__file__).parents[2]
START = 'python -IS "$SYNTHOOD_CLIENT"'
"""What a stage's command begins with (`stage_client.py`), before the module's name."""
NOT_RESULTS = (
    "synthood",
    "synthood.common.progress",
    "synthood.common.command",
    "synthood.common.stage",
    "synthood.common.devices",
    "synthood.common.time_limit",
    "synthood.common.stopping",
    "synthood.common.disk",
    "synthood.errors",
)
"""Modules that change how a job runs and reports, not what it writes."""
TAGGED = ("kind: Literal[", "sampler: Literal[")
"""How the key that names a plug-in is written in its class."""


def code_of(module: str, root: Path = PACKAGE_ROOT) -> str:
    """Twelve hex digits that change when the code behind `module` does, not with comments or docstrings."""
    return _cached(root, module, partial(_code_of_module, module, root))


def _cached(root: Path, key: str, compute: Callable[[], str]) -> str:
    return cache_of(root).get(key, compute) if root == PACKAGE_ROOT else compute()


def _code_of_module(module: str, root: Path) -> str:
    digest = hashlib.sha256()
    for name, file in sorted(modules_behind(module, root).items()):
        digest.update(f"{name} {_whole(file.read_text(), _package(name, file))[1]}\n".encode())
    return digest.hexdigest()[:12]


def digests_in(settings: BaseModel) -> dict[str, str]:
    """Digests of the code of every plug-in among settings, by its place, such as `detectors.knn`."""
    return {place: code_of_plugin(plugin) for place, plugin in plugins_in(settings)}


def code_of_plugin(plugin: Plugin, root: Path = PACKAGE_ROOT) -> str:
    """Of its class and all behind it, of the plug-ins that it looks up, and of the user's files that it runs."""
    classes = [type(plugin), *plugin.uses()]
    names = [(cls.__module__, cls.__name__) for cls in classes]
    parts = [_cached(root, ":".join(name), partial(_code_of_class, *name, root)) for name in names]
    parts += [code_of_file(Path(file)) for file in plugin.files()]
    return parts[0] if len(parts) == 1 else hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]


@functools.cache
def _code_of_class(module: str, name: str, root: Path) -> str:
    digest = hashlib.sha256(name.encode())
    for module_name, shape in sorted(shapes_behind(module, name, root).items()):
        digest.update(f"{module_name} {shape}\n".encode())
    return digest.hexdigest()[:12]


def modules_behind(module: str, root: Path = PACKAGE_ROOT) -> dict[str, Path]:
    """`module` and every module of its package that it imports, anywhere in its text, all the way down.

    The package is a folder of `root`, where others may be installed, too.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file_of(name, root) if _alike(name, module) else None
        if file is None or name in found or name in NOT_RESULTS:
            continue
        found[name] = file
        waiting += [name.rpartition(".")[0], *_whole(file.read_text(), _package(name, file))[0]]
    return found


def shapes_behind(module: str, name: str, root: Path = PACKAGE_ROOT) -> dict[str, str]:
    """Digests of what a class of `module` needs, by the module that it is in.

    Of a module that defines plug-ins only the statements count that bind a name in use, so another plug-in, or a
    function that serves another one alone, changes nothing. Members of other modules are compared without regard to
    which module, so more may count than needed, never less.
    """
    named, found = {name}, dict[str, list[Part]]()
    own: dict[str, set[str]] = defaultdict(set)
    while True:
        before = len(named), sum(map(len, own.values())), sum(map(len, found.values()))
        waiting, found = [module], {}
        while waiting:
            one = waiting.pop()
            file = _file_of(one, root) if _alike(one, module) else None
            if file is None or one in found or one in NOT_RESULTS:
                continue
            used, parts = named | own[one], _parts(file.read_text(), _package(one, file))
            found[one] = [part for part in parts if part.binds is None or part.binds & used]
            waiting += [one.rpartition(".")[0], *(each for part in found[one] for each in part.imports)]
            own[one] |= {each for part in found[one] for each in part.names}
        named |= {each for parts in found.values() for part in parts for each in part.members}
        if before == (len(named), sum(map(len, own.values())), sum(map(len, found.values()))):
            return {one: " ".join(part.shape for part in parts) for one, parts in found.items()}


@dataclass(frozen=True)
class Part:
    """A statement of a module that defines plug-ins, or a module without any."""

    binds: frozenset[str] | None
    """The names that it gives a meaning; None where it counts in any case."""
    names: frozenset[str]
    """The names that it mentions."""
    members: frozenset[str]
    """What it mentions of other modules: attributes, and names after `from ... import`."""
    imports: tuple[str, ...]
    shape: str


@functools.cache
def _whole(text: str, package: str) -> tuple[tuple[str, ...], str]:
    """What a module imports, and the digest of its shape."""
    tree = ast.parse(text)
    return _imported(tree, package), digest_of(tree)


@functools.cache
def _parts(text: str, package: str) -> tuple[Part, ...]:
    tree = ast.parse(text)
    if any(tag in text for tag in TAGGED) and any(_is_plugin(node) for node in tree.body):
        nodes = _pruned(tree.body)
        return tuple(Part(_bound(node), *_names(node), _imported(node, package), digest_of(node)) for node in nodes)
    return (Part(None, *_names(tree), *_whole(text, package)),)


def _is_plugin(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and any(
        isinstance(one, ast.AnnAssign) and ast.unparse(one).startswith(TAGGED) for one in node.body
    )


def _pruned(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements, of an import one for each name, and those of `if TYPE_CHECKING` without it."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (ast.Import([alias]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (ast.ImportFrom(node.module, [alias], node.level) for alias in node.names)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from _pruned([*node.body, *node.orelse])
        elif not is_text(node):
            yield node


def _bound(node: ast.stmt) -> frozenset[str] | None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset({node.name})
    if isinstance(node, ast.Import | ast.ImportFrom):
        return frozenset(alias.asname or alias.name.partition(".")[0] for alias in node.names)
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    each = [one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
    named = [one.id for one in each if isinstance(one, ast.Name)]
    return frozenset(named) if each and len(named) == len(each) else None


def _names(tree: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """Every name that code mentions, and those among them that may be members of other modules."""
    nodes = list(ast.walk(tree))
    members = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    members |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return frozenset(members | {node.id for node in nodes if isinstance(node, ast.Name)}), frozenset(members)


def _alike(one: str, other: str) -> bool:
    """Whether two modules are of one package."""
    return one.partition(".")[0] == other.partition(".")[0]


@functools.cache
def _file_of(name: str, root: Path) -> Path | None:
    if not name:
        return None
    base = root.joinpath(*name.split("."))
    return next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)


def _package(name: str, file: Path) -> str:
    return name if file.name == "__init__.py" else name.rpartition(".")[0]


def _imported(block: ast.AST, package: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in [block, *_statements(block)]:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _statements(block: ast.AST) -> Iterator[ast.AST]:
    """All statements in a block, however deep: expressions, most of a tree, hold none."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(block, field, ()):
            yield inner
            yield from _statements(inner)

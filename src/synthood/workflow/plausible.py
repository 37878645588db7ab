"""What a valid configuration asks of this machine and cannot have: files, functions and classes that are not there."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unicodedata import normalize

from synthood.common.user_code import UserCode
from synthood.config.detection import too_large
from synthood.config.messages import MistakeError
from synthood.config.models import Config
from synthood.data.files.settings import ExceptClasses
from synthood.errors import SynthoodError, nearest
from synthood.plugins import Plugin, plugins_in
from synthood.training.networks.architectures.base import NetworkSettings
from synthood.training.networks.settings import pretrained_file
from synthood.workflow.plan import Plan
from synthood.workflow.plan.outside import Needed

USUAL_SIDE = 32
"""Pixels of images whose size the configuration does not say."""


def impossible(config: Config) -> list[MistakeError]:
    """Everything that would fail for want of a file, a function or a class; public data may still be fetched."""
    missing = [
        MistakeError(one.key, f"{one.path} is not there; paths start where snakemake runs")
        for one in Plan(config).missing()
        if not public(one)
    ]
    failing = [*wrong_files(config), *wrong_weights(config), *failing_code(config)]
    return [*failing, *unknown_classes(config), *(() if failing else too_large(config, built_features)), *missing]


@cache
def _built(network: str) -> int | None:
    from synthood.training.networks.architectures.base import build  # torch, where a network must be built
    from synthood.training.networks.settings import network_described

    try:
        return build(network_described(json.loads(network)), 2, 0).head.in_features
    except SynthoodError:  # of a library that this machine may lack
        return None


def built_features(network: NetworkSettings) -> int | None:
    """Penultimate features of a network, which is built where its settings do not tell."""
    try:
        return network.feature_count or _built(json.dumps(network.described()))
    except SynthoodError:  # of a folder that is missing, or of such a library
        return None


def fetchable(config: Config) -> list[Needed]:
    """Public data that is missing and that `synthood fetch` knows."""
    return [one for one in Plan(config).missing() if public(one)]


def public(one: Needed) -> bool:
    """Whether `synthood fetch` knows where a missing file may be had."""
    from synthood.data.public.fetch import registry

    found = one.source.download(one.part) if one.source is not None else None
    return found is not None and found[0] in registry()


def wrong_files(config: Config) -> Iterator[MistakeError]:
    """Python files of the user's that are missing, are not Python, or lack what is named; nothing is run."""
    for place, plugin in of_users(config).items():
        yield from _wrong_file(place, plugin)


def wrong_weights(config: Config) -> Iterator[MistakeError]:
    """Folders of pretrained weights that are there and lack a file, or are of another network; weights are not read."""
    for place, network in plugins_in(config):
        file = pretrained_file(network) if isinstance(network, NetworkSettings) else None
        if isinstance(network, NetworkSettings) and file and Path(file).exists():
            try:
                network.check_files()
            except SynthoodError as error:
                yield MistakeError(f"{place}.pretrained", str(error))


def of_users(config: Config) -> dict[str, Plugin]:
    """The plug-ins that run the user's files, by their place, each once."""
    found: dict[str, Plugin] = {}
    for place, plugin in plugins_in(config):
        if plugin.files() and plugin not in found.values():
            found[place] = plugin
    return found


def failing_code(config: Config) -> Iterator[MistakeError]:
    """The user's code that cannot be created, or fails on made-up numbers; their files are run."""
    for place, plugin in of_users(config).items():
        if not list(_wrong_file(place, plugin)):
            try:
                for side in _sides(config, place) if isinstance(plugin, UserCode) else {USUAL_SIDE}:
                    plugin.dry_run(side)
            except SynthoodError as error:
                yield MistakeError(place, str(error))


def _sides(config: Config, path: str) -> set[int]:
    """Sides of the images that a recipe's tables show it; of all datasets where no table names it, else the usual."""
    section, name, *_ = path.split(".")
    tables = [table for table in config.tables.values() if section == "recipes" and name in table.all_recipes]
    datasets = {name for table in tables for name in table.datasets} or set(config.datasets)
    sides = {config.datasets[name].side for name in datasets}
    return {side for side in sides if side is not None} or {USUAL_SIDE}


def _wrong_file(path: str, plugin: Plugin) -> Iterator[MistakeError]:
    values = plugin.model_dump(by_alias=True)
    what = "class" if values.get("class") else "function"
    file, name = values["file"], values[what] or getattr(plugin, "name", "")
    try:
        found = _bound(ast.parse(Path(file).read_bytes()).body)
    except OSError as error:
        yield MistakeError(f"{path}.file", f"{file}: {error.strerror}; such paths start where snakemake runs")
    except SyntaxError as error:
        yield MistakeError(f"{path}.file", f"{file}: line {error.lineno}: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        yield MistakeError(f"{path}.file", f"{file}: not readable as Python ({error})")
    else:
        if name not in found and "*" not in found:
            yield MistakeError(f"{path}.{what}", f"{file} has no {what} {name!r}{nearest(name, found)}")


def _bound(statements: list[ast.stmt]) -> set[str]:
    """Names that a module binds, also below `if` and `try`; `*` where it imports all of another's."""
    found: set[str] = set()
    for one in statements:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(one.name)
            continue
        if isinstance(one, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in one.names}
        found |= {n.id for n in ast.walk(one) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        blocks = [getattr(one, key, []) for key in ("body", "orelse", "finalbody")]
        blocks += [each.body for each in [*getattr(one, "handlers", []), *getattr(one, "cases", [])]]
        for block in blocks:
            found |= _bound(block)
    return found


def unknown_classes(config: Config) -> Iterator[MistakeError]:
    """Classes to be held out or left out that the data, where it is there, does not have."""
    for name, dataset in config.datasets.items():
        source = dataset.id
        if not isinstance(source, ExceptClasses) or source.words is not None:
            continue
        asked = [
            *((f"id.except_classes.{i}", word) for i, word in enumerate(source.except_classes)),
            *(
                (f"{role}.classes.{i}", word)
                for role, one in dataset.held_out_sets.items()
                for i, word in enumerate(one.id_classes)
            ),
        ]
        if not asked:
            continue
        try:
            names = source.class_names([word for _, word in asked])
            known = None if names is None else {normalize("NFC", name) for name in names}
        except SynthoodError as error:
            yield MistakeError(f"datasets.{name}.id", str(error))
            continue
        for key, word in asked:
            if known is not None and normalize("NFC", word) not in known:
                yield MistakeError(f"datasets.{name}.{key}", f"no class is named {word!r}{nearest(word, known)}")

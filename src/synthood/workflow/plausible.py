"""What a valid configuration asks of this machine and cannot have: files, functions and classes that are not there."""

import ast
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from synthood.config.messages import MistakeError
from synthood.config.models import Config
from synthood.data.files.settings import ExceptClasses
from synthood.data.sources.custom import FromFile
from synthood.errors import SynthoodError, nearest
from synthood.evaluation.detectors.custom import Custom
from synthood.plugins import plugins_in
from synthood.training.methods.custom import CustomLoss
from synthood.workflow.plan import Plan
from synthood.workflow.plan.outside import Needed


def impossible(config: Config) -> list[MistakeError]:
    """Everything that would fail for want of a file, a function or a class; public data may still be fetched."""
    missing = [
        MistakeError(one.key, f"{one.path} is not there; paths start where snakemake runs")
        for one in Plan(config).missing()
        if not public(one)
    ]
    failing = (*failing_losses(config), *failing_sources(config))
    return [*wrong_files(config), *failing, *unknown_classes(config), *missing]


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
    detectors = {f"detectors.{n}": d for n, d in config.detectors.items() if isinstance(d, Custom)}
    for path, detector in detectors.items():
        yield from _wrong_file(path, detector.file, "function", detector.function)
    for path, loss in custom_losses(config).items():
        yield from _wrong_file(path, loss.file, "class", loss.class_)
    for path, source in custom_sources(config).items():
        yield from _wrong_file(path, source.file, "class" if source.class_ else "function", source.name)


def custom_losses(config: Config) -> dict[str, CustomLoss]:
    """The user's losses by their place, each once."""
    found: dict[str, CustomLoss] = {}
    for name, recipe in config.recipes.items():
        for method in recipe.methods:
            if isinstance(method, CustomLoss) and method not in found.values():
                found[f"recipes.{name}.{method.key}"] = method
    return found


def failing_losses(config: Config) -> Iterator[MistakeError]:
    """The user's losses that fail on made-up numbers; their files are run."""
    for path, loss in custom_losses(config).items():
        if not list(_wrong_file(path, loss.file, "class", loss.class_)):
            try:
                loss.dry_run()
            except SynthoodError as error:
                yield MistakeError(path, str(error))


def custom_sources(config: Config) -> dict[str, FromFile]:
    """The user's sources by their place, each once."""
    found: dict[str, FromFile] = {}
    for place, source in plugins_in({"datasets": config.datasets, "generators": config.generators}):
        if isinstance(source, FromFile) and source not in found.values():
            found[place] = source
    return found


def failing_sources(config: Config) -> Iterator[MistakeError]:
    """The user's sources whose files fail when they are run; no image is asked for."""
    for path, source in custom_sources(config).items():
        if not list(_wrong_file(path, source.file, "class" if source.class_ else "function", source.name)):
            try:
                source.load()
            except SynthoodError as error:
                yield MistakeError(path, str(error))


def _wrong_file(path: str, file: str, what: str, name: str) -> Iterator[MistakeError]:
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

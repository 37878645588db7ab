"""The text of a configuration, read within bounds: each key once, and nothing that YAML takes for something else."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from synthood.config.renames import renames_in
from synthood.errors import SynthoodError, printable

LARGEST = 1 << 23
"""Characters of a file."""
DEEPEST = 40
"""Sections and lists inside each other."""
MOST = 200_000
"""Keys and values, each alias counted as all that it repeats."""
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
EXPONENT = re.compile(r"([-+]?)(\d[\d_]*\.?[\d_]*|\.\d+)[eE]([-+]?)(\d+)")
PLAIN_KEY = re.compile(r"(0|[1-9]\d*)(\.(0|\d*[1-9]))?")
PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][\d_]*)")
TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_resolver = yaml.resolver.Resolver()


def read(path: Path) -> tuple[Any, list[str]]:
    """What a YAML or JSON file holds, and what is wrong with its text, with the file's name.

    Raises SynthoodError where it cannot be read at all or exceeds a bound.
    """
    text = _text(path)
    try:
        content = _json(text, path)
    except ValueError:
        mistakes = list(_mistakes(text, path))
        try:
            content = yaml.load(text, Loader=LOADER)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise SynthoodError(f"{path}: not valid YAML ({_in_one_line(error)})") from error
        return content, mistakes
    return content, []


def mistakes_of(path: Path) -> list[str]:
    """What is wrong with the text of a file that another program reads as YAML or JSON."""
    text = _text(path)
    try:
        _json(text, path)
    except ValueError:
        return list(_mistakes(text, path))
    return []


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(LARGEST + 1)
    except OSError as error:
        raise SynthoodError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SynthoodError(f"{path}: not UTF-8 text ({error})") from error
    if len(text) > LARGEST:
        raise SynthoodError(f"{path}: more than {LARGEST} characters; a configuration holds settings, not data")
    return text


def _json(text: str, path: Path) -> Any:
    """The content of JSON, which Snakemake tries first; ValueError where the text is none."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SynthoodError(f"{path}: {printable(twice)}: given twice in one section; keep one")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError as error:
        raise SynthoodError(f"{path}: nested more than {DEEPEST} levels deep; a configuration needs fewer") from error


@dataclass
class _Open:
    """A section or list whose end has not been read."""

    path: str
    anchor: str | None
    before: int
    """Keys and values counted when it began."""
    lines: dict[str, int] | None
    """Where each key of a section is; None for a list."""
    key: str | None = None
    items: int = 0
    height: int = 1
    """Levels inside it, with its own."""


@dataclass
class _Seen:
    """What has been read of a document."""

    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Size and height of what each anchor names."""
    count: int = 0


def _mistakes(text: str, path: Path) -> Iterator[str]:
    seen = _Seen()
    try:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.CollectionEndEvent):
                _close(seen)
            elif isinstance(event, yaml.NodeEvent):
                line = event.start_mark.line + 1 if event.start_mark else 0
                where = f"{path}, line {line}"
                above = seen.open[-1] if seen.open else None
                is_key = above is not None and above.lines is not None and above.key is None
                yield from (f"{path}: {what}" for what in (_key if is_key else _value)(seen, event, line, where))
                if seen.count > MOST:
                    raise SynthoodError(f"{where}: more than {MOST} keys and values; use fewer aliases")
    except yaml.YAMLError as error:
        raise SynthoodError(f"{path}: not valid YAML ({_in_one_line(error)})") from error


def _in_one_line(error: Exception) -> str:
    return printable(" ".join(str(error).split()), 400)


def _close(seen: _Seen) -> None:
    done = seen.open.pop()
    if done.anchor:
        seen.anchors[done.anchor] = (seen.count - done.before, done.height)
    if seen.open:
        seen.open[-1].height = max(seen.open[-1].height, done.height + 1)


def _key(seen: _Seen, event: yaml.NodeEvent, line: int, where: str) -> Iterator[str]:
    above = seen.open[-1]
    if not isinstance(event, yaml.ScalarEvent) or above.lines is None:
        raise SynthoodError(f"{where}: a key must be plain text, not a list, a section or an alias")
    above.key = event.value
    seen.count += 1
    if event.anchor:
        seen.anchors[event.anchor] = (1, 0)
    path = _below(above)
    if first := above.lines.get(event.value):
        yield f"{path}: given on lines {first} and {line}; keep one"
    above.lines.setdefault(event.value, line)
    for one in renames_in(tuple(above.path.split("."))):
        if not one.of and event.value in (one.old, one.new) and {one.old, one.new} <= above.lines.keys():
            old, new = above.lines[one.old], above.lines[one.new]
            where = f"{above.path}.{one.old}"
            yield f"{where}: line {old}: also given by its new name `{one.new}` on line {new}; keep that one"
    tag = _tag(event)
    if tag not in (TEXT, MERGE) and not PLAIN_KEY.fullmatch(event.value):
        yield f"{path}: line {line}: YAML reads this key as {tag.rpartition(':')[2]}, not as text; put it in quotes"


def _value(seen: _Seen, event: yaml.NodeEvent, line: int, where: str) -> Iterator[str]:
    above = seen.open[-1] if seen.open else None
    path = _below(above) if above else ""
    if isinstance(event, yaml.AliasEvent):
        if event.anchor in (one.anchor for one in seen.open):
            raise SynthoodError(f"{where}: {path}: a section contains itself; take the anchor out")
        size, height = seen.anchors.get(str(event.anchor), (1, 0))
    else:
        size, height = 1, 0
    if len(seen.open) + height >= DEEPEST:
        raise SynthoodError(f"{where}: nested more than {DEEPEST} levels deep; a configuration needs fewer")
    seen.count += size
    if above:
        above.key, above.items = None, above.items + 1
        above.height = max(above.height, height + 1)
    if isinstance(event, yaml.CollectionStartEvent):
        lines: dict[str, int] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
        seen.open.append(_Open(path, event.anchor, seen.count - 1, lines))
    elif isinstance(event, yaml.ScalarEvent):
        if event.anchor:
            seen.anchors[event.anchor] = (1, 0)
        if wrong := _misread(event):
            yield f"{path}: line {line}: {wrong}"


def _below(above: _Open) -> str:
    step = printable(above.key) if above.key is not None else str(above.items)
    return f"{above.path}.{step}" if above.path else step


def _tag(event: yaml.ScalarEvent) -> str:
    plain = event.implicit[0] and event.tag is None
    return str(_resolver.resolve(yaml.ScalarNode, event.value, (True, False))) if plain else event.tag or TEXT


def _misread(event: yaml.ScalarEvent) -> str | None:
    """What YAML 1.1 makes of a number, where that is something else than what is written."""
    value, tag = event.value, _tag(event)
    if tag == TEXT and event.implicit[0] and (number := EXPONENT.fullmatch(value)):
        return f"{printable(value, 120)} is text to YAML; {as_number(number)}; put it in quotes where text is meant"
    strange = tag.endswith(":int") and not PLAIN_NUMBER.fullmatch(value)
    if strange or (tag.endswith(":float") and ":" in value):
        read_as = yaml.safe_load(value)
        return f"YAML reads {printable(value, 120)} as {read_as}; write that, or put it in quotes where text is meant"
    return None


def as_number(found: re.Match[str]) -> str:
    """How a number with an exponent is written for YAML."""
    sign, digits, minus, exponent = found.groups()
    dotted = digits if "." in digits else f"{digits}.0"
    dotted = f"0{dotted}" if dotted.startswith(".") else dotted
    written = f"{sign}{dotted}e{minus or '+'}{exponent}"
    short = format(Decimal(found[0].replace("_", "")), "f") if len(exponent) < 2 else ""
    return f"its numbers have a dot and a signed exponent: write {written}" + (f" or {short}" if short else "")

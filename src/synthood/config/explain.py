"""`synthood explain KEY`: what a key of the configuration means, and where shipped configurations use it."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from synthood.config.benchmarks import FOLDER
from synthood.config.keys import NAME, Key, Tag, all_keys, first_paragraph, nested, papers_of, properties, tag_of
from synthood.config.like import SECTIONS, resolved
from synthood.config.read import LOADER
from synthood.config.renames import RENAMES
from synthood.errors import SynthoodError

CHECKOUT = Path(__file__).parents[3]
"""Holds config.yaml and configs/, unless the package is installed without them."""
MOST = 6
"""Paths and uses that are printed of one key."""
Step = str | Tag
A_NAME = r"((?:[^.]|\.(?=\d))+)"
"""A name of the user's, such as sio-0.9; other dots part the steps of a path."""


def explain(text: str) -> str:
    """Type, default, meaning, paper and uses of a key, and the keys of a section; names and kinds may be left out.

    Raises SynthoodError with the nearest keys where there is none.
    """
    alike: dict[tuple[str, ...], list[Key]] = {}
    for key in matching(text):
        papers = ", ".join(f"arXiv {one}" if one[0].isdigit() else one for one in key.papers or papers_of(key.owner))
        alike.setdefault((key.type, key.default, key.meaning, papers), []).append(key)
    if not alike:
        _refuse_old_name(text)
        every = list(dict.fromkeys(name for key in all_keys() for name in _short(key.path)))
        ending = [name for name in every if name.rpartition(".")[2] == text.rpartition(".")[2]]
        close = difflib.get_close_matches(text, ending, 3, 0) or difflib.get_close_matches(text, every, 3, 0)
        raise SynthoodError(f"{text}: no such key; the nearest are {', '.join(close)}")
    shipped = list(_shipped())
    return "\n\n".join(_block(keys, facts, shipped) for facts, keys in alike.items())


def _refuse_old_name(text: str) -> None:
    """Raises SynthoodError with the new names where version 1 had such a key."""
    new = [
        f"{one.section.replace('*', NAME)}.{one.new}"
        for one in RENAMES
        if not one.of and one.old == text.rpartition(".")[2]
    ]
    if new:
        raise SynthoodError(f"{text}: a key of version 1; version 2 has {', '.join(new)}")


def matching(text: str) -> list[Key]:
    """The keys that a path means, as few of its steps as possible taken for names that the user chose."""
    last = text.rpartition(".")[2]
    found = [
        (sum(name is not None for name in match.groups()), key)
        for key in all_keys()
        if key.path[-1] in (last, NAME) or isinstance(key.path[-1], Tag)
        if (match := _pattern(key.path).fullmatch(f".{text}"))
    ]
    fewest = min((names for names, _ in found), default=0)
    return [key for names, key in found if names == fewest]


def _pattern(path: tuple[Step, ...]) -> re.Pattern[str]:
    *above, last = ((step, _step(step)) for step in path)
    steps = [f"(?:{text})??" if isinstance(step, Tag) or step == NAME else text for step, text in above]
    return re.compile("".join(steps) + last[1])


def _step(step: Step) -> str:
    if isinstance(step, Tag):
        return rf"\.(?:{'|'.join(map(re.escape, step.values))})".replace(NAME, ".+")
    return rf"\.{A_NAME}" if step == NAME else rf"\.{re.escape(step)}"


def _short(path: tuple[Step, ...]) -> tuple[str, str]:
    """The path without names, and with the kinds left out as well."""
    steps = [step for step in path if step != NAME]
    kinds = ".".join(step.values[0] if isinstance(step, Tag) else step for step in steps)
    return ".".join(step for step in steps if isinstance(step, str)), kinds


def _block(keys: list[Key], facts: tuple[str, ...], shipped: list[tuple[str, Any]]) -> str:
    rows = list(zip(("type", "default", "meaning", "paper"), facts, strict=True))
    uses: dict[tuple[str, str], str] = {}
    for file, raw in shipped:
        for path, value in _uses(raw, keys):
            uses.setdefault((file, value), f"{file}: {path}{value}")
    rows += [("used", use) for use in _some(list(uses.values()))]
    found = nested(keys[0].node)
    if len(found) == 1:
        inner = [Key((name,), node, found[0]) for name, node in properties(found[0])]
        rows += [("key", f"{key}: {key.meaning}") for key in inner if not (key.is_tag and keys[0].node is found[0])]
    else:
        rows += [("kind", f"{', '.join(tag.values)}: {first_paragraph(one)}") for one in found if (tag := tag_of(one))]
    lines = [f"  {name:9}{value}" for name, value in rows if value]
    return "\n".join([*_some([str(key) for key in keys]), *lines])


def _some(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MOST else [*lines[:MOST], f"and {len(lines) - MOST} more"]


def _shipped() -> Iterator[tuple[str, Any]]:
    """Name and content of the configurations and benchmarks that come with synthood."""
    for file in [CHECKOUT / "config.yaml", *sorted(CHECKOUT.glob("configs/*.yaml"))]:
        if file.is_file():
            yield str(file.relative_to(CHECKOUT)), yaml.load(file.read_text(), Loader=LOADER)
    for file in sorted(FOLDER.glob("*.yaml")):
        yield f"benchmark {file.stem}", {"datasets": {file.stem: yaml.load(file.read_text(), Loader=LOADER)}}


def _uses(raw: Any, keys: list[Key]) -> Iterator[tuple[str, str]]:
    """Path and value wherever a configuration gives one of these keys; of sections the path alone."""
    followed = raw | {name: resolved(name, raw[name]) for name in SECTIONS if name in raw}
    for key in keys:
        for path, value in _values(raw, followed, key.path):
            yield (".".join(path), "") if isinstance(value, dict) else (f"{'.'.join(path)}: ", str(value))


def _values(
    value: Any, followed: Any, path: tuple[Step, ...], trail: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Places and values of a path in what a file says; `followed` is that with `like:`, which may say the kind."""
    if not path:
        yield trail, value
        return
    step, rest = path[0], path[1:]
    if isinstance(value, list) and step == NAME:
        value, followed = ({str(index): inner for index, inner in enumerate(each)} for each in (value, followed))
    if not isinstance(value, dict) or not isinstance(followed, dict):
        return
    if isinstance(step, Tag):
        if step.covers(followed):
            yield from _values(value, followed, rest, trail)
        return
    for name in value if step == NAME else [step] if step in value else []:
        yield from _values(value[name], followed.get(name, value[name]), rest, (*trail, str(name)))

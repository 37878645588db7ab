"""The text of a configuration with the names of version 2 in it; comments, order and layout stay."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from synthood.common.artefact import replacing
from synthood.config.messages import SHOWN
from synthood.config.read import LOADER, read
from synthood.config.renames import VERSION, new_name, renamed, renames_in
from synthood.errors import SynthoodError

BOM = "\ufeff"


class Edit(NamedTuple):
    """A word in the text of a file and its name in version 2."""

    line: int
    place: str
    old: str
    new: str
    start: int
    """Characters before it, the byte order mark left out."""


def edits_of(path: Path) -> list[Edit]:
    """What version 2 names otherwise in a file, and its `version`, in the order of the text.

    Raises SynthoodError where the file cannot be read, or where an anchor is used in sections of which only some have
    the old name.
    """
    read(path)  # within its bounds
    root = yaml.compose(_text(path).removeprefix(BOM), Loader=LOADER)
    options_at: dict[int, set[Edit | None]] = defaultdict(set)
    for start, edit in _words(root, ()):
        options_at[start].add(edit)
    edits = []
    for _, options in sorted(options_at.items(), key=lambda item: item[0]):
        meant = [edit for edit in options if edit]
        if len({edit and edit.new for edit in options}) > 1:
            one = meant[0]
            raise SynthoodError(
                f"{path}, line {one.line}: {one.place} is `{one.new}` now, but its anchor is also used where "
                f"`{one.old}` keeps its name; write one of them out"
            )
        edits += sorted(meant)[:1]
    return edits


def notes(path: Path) -> list[str]:
    """A sentence for each old name in a file, with its line and the new name."""
    edits = [edit for edit in edits_of(path) if edit.place != "version"]
    lines = [f"{path}, line {edit.line}: {edit.place}: `{edit.old}` is now `{edit.new}`" for edit in edits]
    return [*lines, f"{path}: `synthood check --upgrade {path}` writes the new names"] if lines else []


def upgrade(path: Path) -> list[Edit]:
    """Rewrites a file in place; what was changed, which is nothing the second time.

    Raises SynthoodError where the file is a link, cannot be written, has a key twice (by both names, too), or spells a
    name in a way that is not followed.
    """
    if path.is_symlink():
        raise SynthoodError(f"{path}: is a link; upgrade the file that it leads to, {path.resolve()}")
    raw, mistakes = read(path)
    if mistakes:
        raise SynthoodError("\n".join(mistakes[:SHOWN]))
    edits = edits_of(path)
    if not edits:
        return []
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise SynthoodError(f"{path}: it, or its folder, is not writable; allow writing, or upgrade a copy")
    mark = BOM * _text(path).startswith(BOM)
    text = _text(path).removeprefix(BOM)
    for edit in reversed(edits):
        start = edit.start + (text[edit.start] in "\"'")
        if not text.startswith(edit.old, start):
            raise SynthoodError(
                f"{path}, line {edit.line}: `{edit.old}` is written in a way that is not followed; write `{edit.new}`"
            )
        text = text[:start] + edit.new + text[start + len(edit.old) :]
    expected = renamed(raw) | ({"version": VERSION} if raw.get("version") == 1 else {})
    with replacing(path) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            stream.write(mark + text)
        shutil.copymode(path, temporary)
        if read(temporary)[0] != expected:
            raise SynthoodError(f"{path}: cannot be rewritten without another meaning; rename its keys by hand")
    return edits


def _text(path: Path) -> str:
    """With the ends of lines as they are."""
    with path.open(encoding="utf-8", newline="") as stream:
        return stream.read()


def _words(node: Any, path: tuple[str, ...]) -> Iterator[tuple[int, Edit | None]]:
    """Every key and text with its place in the text, and how it changes."""
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from _words(inner, (*path, ""))
    if not isinstance(node, yaml.MappingNode):
        return
    values = {(one.of, one.old): one.new for one in renames_in(path) if one.of}
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                yield from _words(merged, path)
            continue
        here = (*path, str(key.value))
        new = new_name(here)
        yield key.start_mark.index, _edit(key, here, new)
        if isinstance(value, yaml.ScalarNode):
            is_version = not path and (key.value, value.value) == ("version", "1")
            word = str(VERSION) if is_version else values.get((key.value, value.value))
            yield value.start_mark.index, _edit(value, here, word)
        else:
            yield from _words(value, here)


def _edit(node: yaml.ScalarNode, path: tuple[str, ...], new: str | None) -> Edit | None:
    mark = node.start_mark
    return Edit(mark.line + 1, ".".join(path), node.value, new, mark.index) if new else None

"""A CSV table of images: columns `path`, and `label` and `split` where there are some."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from synthood.common import images
from synthood.common.lazy import np
from synthood.data.claims import Claim
from synthood.data.files.links import refuse_leaving
from synthood.data.files.listing import Listing, Splits, by_role, id_listing
from synthood.data.files.names import in_order, inside, normal, on_disk, read_text, some, split_of
from synthood.data.files.settings import ListedFiles, NamedClasses, SplitNames, Text
from synthood.data.selection import Selection
from synthood.data.sources.in_files import FileSet, IdFiles, InFiles, counted
from synthood.errors import SynthoodError, printable

LARGEST_CHECKED = 20_000_000
"""Bytes of a table up to which its classes are read before any job runs."""


class InTable(ListedFiles, InFiles):
    """Images that a CSV table names."""

    @property
    def root(self) -> Path:
        return on_disk(Path(self.path)).parent

    def raw_paths(self, part: Selection) -> list[Path]:
        return [on_disk(Path(self.path))]

    def raw_files(self, paths: list[Path]) -> Iterator[str]:
        yield str(paths[0])
        yield from (f"{paths[0].parent}/{name}" for name in _named_in_table(paths[0]))


class Manifest(InTable, FileSet):
    """A CSV table with a column `path`, and `label` and `split` where there are some; paths start at the table."""

    by_class = True

    kind: Literal["manifest"] = "manifest"
    split: Annotated[Text | None, Field(description="rows with this split alone")] = None
    count: Annotated[int | None, Field(ge=1, description="images that must be there")] = None

    def claims(self, part: str) -> list[Claim]:
        return [Claim("manifest", (self.path,), self.split)]

    def listing(self) -> Listing:
        return counted(manifest_set(self), self.count)


class IdManifest(NamedClasses, InTable, IdFiles):
    """A CSV table with columns `path` and `label`; a column `split` with train, test (and val), or none."""

    kind: Literal["manifest"] = "manifest"
    splits: Annotated[
        SplitNames | None, Field(description="words of the splits in the column `split`; default: known by their names")
    ] = None

    def claims(self, part: str) -> list[Claim]:
        return [Claim("manifest", (self.path,), part)]

    def class_names(self, asked: list[str]) -> list[str] | None:
        path = Path(self.path)
        if not (path.is_file() and 0 < path.stat().st_size < LARGEST_CHECKED):
            return None
        return list(set(read_manifest(path).labels))

    def listed(self, part: Selection) -> Listing:
        return id_listing(manifest_splits(self), part, self)


def _named_in_table(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [row.get("path") or "" for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


@dataclass
class Table:
    """Rows of a manifest: files below its folder, and words of labels and splits (empty without such a column)."""

    files: list[Path]
    labels: list[str]
    splits: list[str]


def read_manifest(path: Path, follow_links: bool = False) -> Table:
    """A table, checked; raises, with the line's number, at a path that is missing, double, or leaves the folder."""
    reader = csv.DictReader(io.StringIO(read_text(path, "a CSV table"), newline=""), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise SynthoodError(f"{path}, line {reader.line_num}: not CSV ({error})") from error
    columns = [name or "" for name in reader.fieldnames or []]
    if "path" not in columns:
        raise SynthoodError(
            f"{path}: no column `path` (it has {', '.join(columns) or 'none'}); name the columns on line 1"
        )
    table = Table([], [], [])
    first: dict[Path, int] = {}
    seen: dict[Path, dict[str, list[str]]] = {}
    for number, row in rows:
        if None in row or None in row.values():
            raise SynthoodError(f"{path}, line {number}: expected {len(columns)} columns")
        place = row["path"]
        if not place or not inside(place):
            raise SynthoodError(f"{path}, line {number}: {place!r} is no path below the table's folder")
        file = on_disk(path.parent / place, seen)
        if file in first:
            raise SynthoodError(f"{path}, line {number}: {place!r} stands on line {first[file]} already")
        first[file] = number
        table.files.append(file)
        for column, words in (("label", table.labels), ("split", table.splits)):
            if column in columns:
                if not row[column].strip():
                    raise SynthoodError(f"{path}, line {number}: the {column} is empty")
                words.append(normal(row[column].strip()))
    if not table.files:
        raise SynthoodError(f"{path}: names no image")
    missing = [str(file) for file in table.files if not file.is_file()]
    if missing:
        raise SynthoodError(f"{missing[0]}: not found, but named by {path} ({len(missing)} are missing)")
    if not follow_links:
        refuse_leaving(table.files, path.parent, path)
    return table


def manifest_set(settings: Manifest) -> Listing:
    """All images of a table, or those of one split; labelled where the table says so."""
    path = on_disk(Path(settings.path))
    table = read_manifest(path, settings.follow_links)
    split = None if settings.split is None else normal(settings.split)
    if split is not None and split not in table.splits:
        known = some(sorted(set(table.splits))) or "none"
        raise SynthoodError(f"{printable(path)}: no row has the split {split!r} (splits: {known})")
    classes = in_order(table.labels)
    place = {name: label for label, name in enumerate(classes)}
    chosen = [i for i in range(len(table.files)) if split is None or table.splits[i] == split]
    labels = [place[table.labels[i]] if classes else images.OOD_LABEL for i in chosen]
    return Listing([table.files[i] for i in chosen], np.array(labels, np.int64), classes, str(path))


def manifest_splits(settings: IdManifest) -> Splits:
    """The splits of a table under any of their names, or all its rows where it has no column `split`."""
    path = on_disk(Path(settings.path))
    table = read_manifest(path, settings.follow_links)
    if not table.labels:
        raise SynthoodError(f"{printable(path)}: no column `label`, which ID images need")
    classes = settings.classes or in_order(table.labels)
    place = {name: label for label, name in enumerate(classes)}
    roles = _roles(table, settings, path)
    used = {word for words in roles.values() for word in words}
    rest = Counter(word for word in table.splits if word not in used)
    labels = [label for i, label in enumerate(table.labels) if not table.splits or table.splits[i] in used]
    strange = next((label for label in labels if label not in place), None)
    if strange is not None:
        raise SynthoodError(f"{printable(path)}: label {strange!r} is not one of the classes {some(classes, 12)}")
    notes = [
        f"{printable(path)}: {count} rows of split {printable(word)} not read" for word, count in sorted(rest.items())
    ]

    def rows(split: str, words: list[str] | None) -> Listing:
        chosen = [i for i in range(len(table.files)) if words is None or table.splits[i] in words]
        labels = np.array([place[table.labels[i]] for i in chosen], np.int64)
        origin = f"{path}, split {split}"
        return Listing([table.files[i] for i in chosen], labels, classes, origin, notes if split == "train" else [])

    if not table.splits:
        return {"all": partial(rows, "all", None)}
    taught = {label for label, word in zip(table.labels, table.splits, strict=True) if word in roles["train"]}
    untaught = next((label for label in labels if label not in taught), None)
    if untaught is not None:
        raise SynthoodError(f"{printable(path)}: class {untaught!r} has no row of split train")
    return {split: partial(rows, split, words) for split, words in roles.items()}


def _roles(table: Table, settings: IdManifest, path: Path) -> dict[str, list[str]]:
    """The words of the column `split` that mean each split; raises where one of them has no row."""
    found = sorted(set(table.splits))
    if settings.splits:
        roles = {role: list(map(normal, words)) for role, words in settings.splits.of_roles().items()}
        missing = next((word for words in roles.values() for word in words if word not in found), None)
        if missing is not None:
            known = some(found) or "no column `split`"
            raise SynthoodError(f"{printable(path)}: no row has the split {missing!r}, which `splits` names ({known})")
        return roles
    strange = [word for word in found if split_of(word) is None]
    if strange:
        raise SynthoodError(
            f"{printable(path)}: splits {some(found)}; expected train and test, and val where wanted, or give `splits`"
        )
    return by_role(found, str(path)) if found else {}

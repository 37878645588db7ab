"""A CSV table of images: columns `path`, and `label` and `split` where there are some."""

import csv
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from synthood.common.images import OOD_LABEL
from synthood.data.files.imglist import inside, read_text
from synthood.data.files.links import refuse_leaving
from synthood.data.files.listing import Listing, Splits
from synthood.data.files.settings import IdManifest, Manifest
from synthood.errors import SynthoodError


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
    first: dict[str, int] = {}
    for number, row in rows:
        if None in row or None in row.values():
            raise SynthoodError(f"{path}, line {number}: expected {len(columns)} columns")
        place = row["path"]
        if not place or not inside(place):
            raise SynthoodError(f"{path}, line {number}: {place!r} is no path below the table's folder")
        if place in first:
            raise SynthoodError(f"{path}, line {number}: {place!r} stands on line {first[place]} already")
        first[place] = number
        table.files.append(path.parent / place)
        for column, words in (("label", table.labels), ("split", table.splits)):
            if column in columns:
                if not row[column].strip():
                    raise SynthoodError(f"{path}, line {number}: the {column} is empty")
                words.append(row[column].strip())
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
    path = Path(settings.path)
    table = read_manifest(path, settings.follow_links)
    if settings.split is not None and settings.split not in table.splits:
        known = ", ".join(sorted(set(table.splits))) or "none"
        raise SynthoodError(f"{path}: no row has the split {settings.split!r} (splits: {known})")
    classes = _classes(table)
    chosen = [i for i in range(len(table.files)) if settings.split is None or table.splits[i] == settings.split]
    labels = [classes.index(table.labels[i]) if classes else OOD_LABEL for i in chosen]
    return Listing([table.files[i] for i in chosen], np.array(labels, np.int64), classes, str(path))


def manifest_splits(settings: IdManifest) -> Splits:
    """The splits train, test (and val) of a table, or all its rows where it has no column `split`."""
    path = Path(settings.path)
    table = read_manifest(path, settings.follow_links)
    if not table.labels:
        raise SynthoodError(f"{path}: no column `label`, which ID images need")
    classes = settings.classes or _classes(table)
    place = {name: label for label, name in enumerate(classes)}
    strange = next((label for label in table.labels if label not in place), None)
    if strange is not None:
        raise SynthoodError(f"{path}: label {strange!r} is not one of the classes {', '.join(classes[:12])}")

    def rows(split: str | None) -> Listing:
        chosen = [i for i in range(len(table.files)) if split is None or table.splits[i] == split]
        labels = np.array([place[table.labels[i]] for i in chosen], np.int64)
        return Listing([table.files[i] for i in chosen], labels, classes, f"{path}, split {split or 'all'}")

    if not table.splits:
        return {"all": partial(rows, None)}
    found = set(table.splits)
    if not found <= {"train", "val", "test"} or not {"train", "test"} <= found:
        raise SynthoodError(f"{path}: splits {', '.join(sorted(found))}; expected train and test, and val where wanted")
    taught = {label for label, split in zip(table.labels, table.splits, strict=True) if split == "train"}
    untaught = next((label for label in table.labels if label not in taught), None)
    if untaught is not None:
        raise SynthoodError(f"{path}: class {untaught!r} has no row of split train")
    return {split: partial(rows, split) for split in found}


def _classes(table: Table) -> list[str]:
    """Distinct labels, numbers in their order."""
    words = set(table.labels)
    return sorted(words, key=lambda word: (0, int(word), word) if word.isascii() and word.isdigit() else (1, 0, word))

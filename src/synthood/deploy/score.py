"""`synthood score`: the table of an exported detector for many files, written while it goes on, and resumed."""

import csv
import filecmp
import hashlib
import io
import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TextIO

import numpy as np
import pandas as pd

from synthood.common.artefact import replacing
from synthood.common.identity import MANIFEST, sha256
from synthood.data.files.found import look
from synthood.deploy.facts import DETECTOR
from synthood.deploy.predictor import COLUMNS, Predictor, load
from synthood.errors import SynthoodError, printable

Form = Literal["csv", "jsonl", "parquet"]
UNKNOWN = 3
"""Exit code of `--fail-on-ood` where an image is OOD."""
EVERY = 5.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class ScoreOptions:
    """What the command line says apart from folder and images."""

    form: Form = "csv"
    output: Path | None = None
    level: float | None = None
    resume: bool = False
    fail_on_ood: bool = False
    copy_unknown: Path | None = None
    shard: str = "1/1"
    threads: int | None = None
    device: str = "cpu"


@dataclass
class Counts:
    """Of the images so far."""

    images: int = 0
    ood: int = 0
    bad: int = 0

    def add(self, table: pd.DataFrame) -> None:
        self.images += len(table)
        self.ood += int(table["is_ood"].sum())
        self.bad += int((table["error"] != "").sum())


def score(folder: Path, images: Sequence[str], options: ScoreOptions, stream: TextIO | None = None) -> int:
    """Writes a row per image to a file or standard output, and returns the exit code.

    `images` are files and folders; `-` stands for names on standard input, one a line. Raises SynthoodError for what
    is asked for in vain, before any image is read.
    """
    if options.output is None and (options.form == "parquet" or options.resume):
        raise SynthoodError(f"score: {'--resume' if options.resume else '--format parquet'} needs --output FILE")
    if options.output is not None and options.output.exists():
        raise SynthoodError(f"{options.output}: exists already; name another file")
    if options.resume and options.form == "parquet":
        raise SynthoodError("score: --resume goes with --format csv or jsonl")
    predictor = load(folder, options.device)
    predictor.level(options.level)
    paths = shard(list(listed(images)), options.shard)
    if not paths:
        raise SynthoodError("score: no images; give files, folders, or - for a list on standard input")
    counts = Counts()
    if options.output is None:
        with_rows(
            any_name(sys.stdout) if stream is None else stream,
            tables(predictor, paths, options, counts),
            options.form,
            True,
        )
    elif options.form == "parquet":
        with replacing(options.output) as temporary:
            whole = pd.concat(list(tables(predictor, paths, options, counts)))
            whole["path"] = [name.encode(errors="backslashreplace").decode() for name in whole["path"]]
            write_parquet(whole, temporary, sha256(folder / MANIFEST))
    else:
        to_file(folder, predictor, paths, options, counts)
    print(f"{counts.images} images: {counts.ood} OOD, {counts.bad} not readable", file=sys.stderr)
    return UNKNOWN if options.fail_on_ood and counts.ood else 0


def write_parquet(table: pd.DataFrame, path: Path, detector: str) -> None:
    """The table, with the digest of the detector in its metadata."""
    import pyarrow
    from pyarrow import parquet

    found = pyarrow.Table.from_pandas(table, preserve_index=False)
    parquet.write_table(found.replace_schema_metadata({**found.schema.metadata, DETECTOR: detector}), path)


def listed(images: Sequence[str]) -> Iterator[Path]:
    """Every file in order; raises where a folder has no image."""
    for name in images:
        if name == "-":
            yield from (Path(line) for each in any_name(sys.stdin) if (line := each.rstrip("\r\n")))
        elif Path(name).is_dir():
            found = look(Path(name))
            if not found.images and not found.unreadable:
                raise SynthoodError(f"{printable(name)}: no images below it ({len(found.others)} other files)")
            yield from sorted([*found.images, *found.unreadable])
        else:
            yield Path(name)


def any_name(stream: TextIO) -> TextIO:
    """The stream with names of files that are not UTF-8 passed through as they are."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="surrogateescape")
    return stream


def shard(paths: Sequence[Path], which: str) -> Sequence[Path]:
    """Part I of N of the files, such as 2/8: those of every N-th place."""
    index, _, count = which.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise SynthoodError(f"score: --shards {which}: expected I/N, such as 2/8 for the second of eight parts")
    return paths[int(index) - 1 :: int(count)]


def tables(
    predictor: Predictor, paths: Sequence[Path], options: ScoreOptions, counts: Counts
) -> Iterator[pd.DataFrame]:
    """Batches of rows, counted, with their unknown images copied and progress on standard error."""
    began = last = time.monotonic()
    done = 0
    alone = predictor.device.type == "cpu" and predictor.extras.detector is None
    stream = predictor.stream_by_threads if alone else predictor.stream
    for table in stream(iter(paths), options.level, options.threads):
        if options.copy_unknown is not None:
            copy(table.loc[table["is_ood"].fillna(False), "path"], options.copy_unknown)
        counts.add(table)
        done += len(table)
        if (now := time.monotonic()) - last >= EVERY:
            rate = done / (now - began)
            left = (len(paths) - done) / rate
            print(f"{done} of {len(paths)} images, {rate:.0f} a second, {left:.0f} s left", file=sys.stderr, flush=True)
            last = now
        yield table


def copy(paths: Iterable[str], folder: Path) -> None:
    """Copies files under their own names, numbered where a file of other content has the name already."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in map(Path, paths):
        target, number = folder / path.name, 0
        while target.exists() and not filecmp.cmp(path, target, shallow=False):
            number += 1
            target = folder / f"{path.stem}-{number}{path.suffix}"
        shutil.copyfile(path, target)


def to_file(folder: Path, predictor: Predictor, paths: Sequence[Path], options: ScoreOptions, counts: Counts) -> None:
    """Writes to a hidden file beside the output, renamed at the end; `--resume` goes on with such a file."""
    assert options.output is not None
    # Rows of another detector, level or format are never continued
    key = [sha256(folder / MANIFEST), predictor.level(options.level), options.form]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:8]
    partial = options.output.parent / f".{options.output.name}.{digest}.partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    known = read_rows(partial, options.form) if options.resume and partial.exists() else []
    counts.images, counts.ood, counts.bad = (
        len(known),
        sum(row["is_ood"] in ("True", True) for row in known),
        sum(bool(row["error"]) for row in known),
    )
    done = {row["path"] for row in known}
    rest = [path for path in paths if str(path) not in done]
    if known:
        print(f"{options.output}: {len(known)} images scored before, {len(rest)} left", file=sys.stderr)
    mode = "a" if known else "w"
    with partial.open(mode, encoding="utf-8", errors="surrogateescape", newline="") as stream:
        with_rows(stream, tables(predictor, rest, options, counts), options.form, not known)
    partial.replace(options.output)


def read_rows(path: Path, form: Form) -> list[dict[str, Any]]:
    """The complete rows of an unfinished file, from which an incomplete last one is cut."""
    content = path.read_bytes()
    content = content[: content.rfind(b"\n") + 1]
    rows: list[dict[str, Any]] = []
    text = content.decode("utf-8", "surrogateescape")
    if form == "jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
    else:
        # A name may hold line breaks, so that the last row can be incomplete at the end of a line
        while text and text.count('"') % 2:
            text = text[: text.rfind("\n", 0, -1) + 1]
        rows = list(csv.DictReader(text.splitlines(keepends=True)))
        content = text.encode("utf-8", "surrogateescape")
    path.write_bytes(content)
    return rows


def with_rows(stream: IO[str], found: Iterable[pd.DataFrame], form: Form, head: bool) -> None:
    """Writes tables row by row, every batch as soon as it is there."""
    writer = csv.writer(stream, lineterminator="\n")
    if head and form == "csv":
        writer.writerow(COLUMNS)
    for table in found:
        columns = [[plain(value) for value in shortest(table[name])] for name in COLUMNS]
        for values in zip(*columns, strict=True):
            if form == "csv":
                writer.writerow(["" if value is None else value for value in values])
            else:
                stream.write(json.dumps(dict(zip(COLUMNS, values, strict=True))) + "\n")
        stream.flush()


def shortest(column: "pd.Series[Any]") -> Iterable[Any]:
    """A column's values, numbers in single precision with no more digits than tell them apart."""
    return (float(str(value)) for value in column.to_numpy()) if column.dtype == np.float32 else column.tolist()


def plain(value: Any) -> Any:
    """None for what is missing."""
    return None if value is pd.NA or value != value else value
